"""What is installed is installed whole, whenever somebody pulls the plug."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.killed import run_until
from support.pki_site import make_config
from v2g.config.paths import PkiPaths, pki_paths
from v2g.pki.model import KeyReference, PkiError
from v2g.pki.store import CHAIN, KEY, KEY_URI, ROOTS, TRUST, Pending, Store, generation, in_force

OLD = {KEY: b"old key", CHAIN: b"old chain", TRUST: b"old trust", ROOTS: b"old roots"}
NEW = {KEY: b"new key", CHAIN: b"new chain", TRUST: b"new trust", ROOTS: b"new roots"}
IN_TOKEN = {KEY_URI: b"pkcs11:id=%01", CHAIN: b"new chain", TRUST: b"new trust", ROOTS: b"new roots"}


def fine(staging: Path) -> None:
    pass


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "ssl")


def install(store: Store, files: dict[str, bytes]) -> None:
    with store.locked():
        store.install(files, fine)


def names(store: Store) -> set[str]:
    return {path.name for path in store.directory.iterdir()}


def content(store: Store) -> dict[str, bytes]:
    """Of what is in force."""
    return {name: found for name in (KEY, KEY_URI, CHAIN, TRUST, ROOTS) if (found := store.read(name)) is not None}


def test_what_is_installed_is_in_its_place_the_key_for_the_owner_alone(store: Store) -> None:
    old_umask = os.umask(0o077)
    try:
        install(store, NEW)
    finally:
        os.umask(old_umask)
    assert content(store) == NEW
    assert names(store) == {*NEW, ".lock"}
    modes = {name: stat.S_IMODE((store.directory / name).stat().st_mode) for name in NEW}
    assert modes == {KEY: 0o600, CHAIN: 0o644, TRUST: 0o644, ROOTS: 0o644}


def test_what_is_refused_changes_nothing_and_leaves_nothing(store: Store) -> None:
    install(store, OLD)

    def refuse(staging: Path) -> None:
        assert (staging / KEY).read_bytes() == b"new key"
        assert stat.S_IMODE(staging.stat().st_mode) == 0o700
        raise PkiError("no")

    with pytest.raises(PkiError, match="no"), store.locked():
        store.install(NEW, refuse)
    assert content(store) == OLD
    assert names(store) == {*OLD, ".lock"}


def test_a_key_of_the_other_kind_is_gone(store: Store) -> None:
    install(store, OLD)
    install(store, IN_TOKEN)
    assert content(store) == IN_TOKEN
    assert store.key_reference() == KeyReference(KEY_URI, b"pkcs11:id=%01")
    install(store, NEW)
    assert content(store) == NEW


def test_other_trust_leaves_the_pair_and_the_waiting_request_alone(store: Store) -> None:
    install(store, OLD)
    waiting = Pending(b"csr", KeyReference(KEY, b"pending key"))
    with store.locked():
        store.keep_pending(waiting)
    install(store, {TRUST: b"new trust"})
    assert content(store) == {**OLD, TRUST: b"new trust"}
    assert store.pending() == waiting
    install(store, NEW)
    assert store.pending() is None
    assert names(store) == {*NEW, ".lock"}


@pytest.mark.parametrize("reference", [KeyReference(KEY, b"key"), KeyReference(KEY_URI, b"pkcs11:id=%02")])
def test_a_request_waits_with_what_stands_for_its_key(store: Store, reference: KeyReference) -> None:
    with store.locked():
        store.keep_pending(Pending(b"first", KeyReference(KEY, b"first key"), b"roots", b"trust"))
        assert store.pending() == Pending(b"first", KeyReference(KEY, b"first key"), b"roots", b"trust")
        store.keep_pending(Pending(b"csr", reference))
    assert store.pending() == Pending(b"csr", reference)
    secrets = [path for path in store.directory.iterdir() if "key" in path.name]
    assert [stat.S_IMODE(path.stat().st_mode) for path in secrets] == [0o600]
    with store.locked():
        store.drop_pending()
    assert names(store) == {".lock"}


def test_only_one_process_works_on_it(store: Store) -> None:
    with (
        store.locked(),
        pytest.raises(PkiError, match="another v2g-cert-manager is at work"),
        Store(store.directory).locked(),
    ):
        pass
    with store.locked():
        pass


_INSTALL = """
from v2g.pki.store import Store
store = Store(Path({folder!r}))
with store.locked():
    # from here on
    store.install({files!r}, lambda staging: None)
"""


def every_death(folder: Path, code: str, judge: Callable[[bool], None]) -> int:
    """``judge(finished)`` after each death; how many steps there were."""
    step = 0
    while not (finished := run_until(step, folder, code)):
        judge(finished)
        step += 1
        assert step < 200
    judge(finished)
    return step


@pytest.mark.soak
@pytest.mark.parametrize("new", [NEW, IN_TOKEN], ids=["key in a file", "key in a token"])
def test_a_death_at_any_step_leaves_the_old_files_or_the_new_ones(
    store: Store, tmp_path: Path, new: dict[str, bytes]
) -> None:
    seen = []

    def judge(finished: bool) -> None:
        found = content(store)
        # As the daemon reads it, which may not write.
        assert found in (OLD, new) or found == {**OLD, **new}, found
        kind = KEY if KEY in new else KEY_URI
        is_new = store.read(CHAIN) == new[CHAIN]
        assert store.read(kind) == (new[kind] if is_new else OLD.get(kind))
        seen.append(is_new)
        with store.locked():
            assert content(store) == (new if is_new else OLD)
            assert names(store) == {*(new if is_new else OLD), ".lock"}
            store.install(OLD, fine)

    install(store, OLD)
    steps = every_death(store.directory, _INSTALL.format(folder=str(store.directory), files=new), judge)
    assert steps > 20
    assert seen == sorted(seen)
    assert {False, True} == set(seen)


@pytest.mark.soak
def test_a_death_while_a_commit_is_carried_out_later_is_none_either(store: Store) -> None:
    recover = """
from v2g.pki.store import Store
# from here on
with Store(Path({folder!r})).locked():
    pass
"""
    install(store, OLD)

    def commit() -> None:
        (store.directory / "next").mkdir()
        for name, data in NEW.items():
            (store.directory / "next" / name).write_bytes(data)
            (store.directory / "next" / name).chmod(0o600)

    def judge(finished: bool) -> None:
        assert content(store) == NEW
        if not finished:
            install(store, OLD)
            commit()

    commit()
    assert every_death(store.directory, recover.format(folder=str(store.directory)), judge) > 10
    assert names(store) == {*NEW, ".lock"}


@pytest.mark.soak
def test_a_death_while_a_request_is_kept_leaves_a_whole_one_or_none(store: Store) -> None:
    code = """
from v2g.pki.model import KeyReference
from v2g.pki.store import KEY, Pending, Store
store = Store(Path({folder!r}))
with store.locked():
    # from here on
    store.keep_pending(Pending(b"new", KeyReference(KEY, b"new key")))
"""
    before = Pending(b"old", KeyReference(KEY, b"old key"))

    def judge(finished: bool) -> None:
        assert store.pending() in (before, None, Pending(b"new", KeyReference(KEY, b"new key")))
        with store.locked():
            store.keep_pending(before)

    judge(False)
    assert every_death(store.directory, code.format(folder=str(store.directory)), judge) > 5


@pytest.fixture
def paths(tmp_path: Path) -> PkiPaths:
    return pki_paths(make_config(tmp_path))


def test_a_reader_finds_what_was_committed_before_it_is_in_its_place(store: Store, paths: PkiPaths) -> None:
    install(store, OLD)
    assert in_force(paths) == paths
    before = generation(paths)
    (store.directory / "next.tmp").mkdir()
    (store.directory / "next.tmp" / CHAIN).write_bytes(b"staged")
    assert (in_force(paths), generation(paths)) == (paths, before)
    (store.directory / "next.tmp").rename(store.directory / "next")
    assert in_force(paths).strict_chain == store.directory / "next" / CHAIN
    assert in_force(paths).strict_key == store.directory / KEY
    assert generation(paths) != before


def test_a_reader_sees_that_files_were_replaced_meanwhile(store: Store, paths: PkiPaths) -> None:
    install(store, OLD)
    before = generation(paths)
    assert generation(paths) == before
    install(store, OLD)
    assert generation(paths) != before


def test_compat_and_files_in_other_places_have_their_own_way(tmp_path: Path) -> None:
    paths = pki_paths(make_config(tmp_path, strict_key=str(tmp_path / "elsewhere.key")))
    for folder in (paths.dir, paths.dir / "compat"):
        (folder / "next").mkdir(parents=True)
        (folder / "next" / KEY).write_bytes(b"x")
    found = in_force(paths)
    assert found.strict_key == tmp_path / "elsewhere.key"
    assert found.compat_key == paths.dir / "compat" / "next" / KEY


def failing(code: int) -> Any:
    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.EROFS, "ReadWritePaths="),
        (errno.EACCES, "run this as root"),
        (errno.ENOSPC, "make room; what was in force stays so"),
        (errno.EIO, "cannot be written to: Input/output error"),
    ],
)
def test_a_disk_that_does_not_take_it_is_named_and_the_old_stays(
    store: Store, monkeypatch: pytest.MonkeyPatch, code: int, words: str
) -> None:
    install(store, OLD)
    monkeypatch.setattr(os, "fsync", failing(code))
    with pytest.raises(PkiError, match=rf"{store.directory} cannot be written to.*{words.split(':')[-1].strip()}"):
        install(store, NEW)
    monkeypatch.undo()
    assert content(store) == OLD


def test_an_open_key_and_a_linked_key_are_refused_where_they_are_read(store: Store, tmp_path: Path) -> None:
    install(store, OLD)
    (store.directory / KEY).chmod(0o640)
    with pytest.raises(PkiError, match=r"chmod 600 .*/private\.key"):
        store.key_reference()
    (store.directory / KEY).unlink()
    (store.directory / KEY).symlink_to("/dev/null")
    with pytest.raises(PkiError, match="symbolic link"):
        store.key_reference()


def test_a_link_in_place_of_the_lock_is_not_followed(store: Store, tmp_path: Path) -> None:
    store.directory.mkdir()
    (store.directory / ".lock").symlink_to(tmp_path / "victim")
    with pytest.raises(PkiError, match="cannot be written to"):
        install(store, NEW)
    assert not (tmp_path / "victim").exists()
