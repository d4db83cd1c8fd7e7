"""An update from its begin to its end, or back; and from wherever it was killed."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from support.firmware import Host, make_bundle, new_key, opened
from v2g.host.firmware.bundle import Bundle
from v2g.host.firmware.errors import FirmwareError
from v2g.host.firmware.slots import Slots
from v2g.host.firmware.steps import Journal, Step, resumes_at, words
from v2g.host.firmware.transaction import RolledBack

FORWARD = ("stage", "install", "check", "copies", "hold", "stop", "backup", "swap", "start", "prove", "finish")
BACK = ("back", "link", "databases", "restart")
KILLED = 77


@pytest.fixture
def key(tmp_path: Path) -> Ed25519PrivateKey:
    return new_key(tmp_path / "keys")


@pytest.fixture
def bundle(tmp_path: Path, key: Ed25519PrivateKey) -> Bundle:
    return opened(make_bundle(tmp_path, key, "0.2.0"), tmp_path / "keys")


@pytest.fixture
def third(tmp_path: Path, key: Ed25519PrivateKey) -> Bundle:
    return opened(make_bundle(tmp_path, key, "0.3.0"), tmp_path / "keys")


def apply(host: Host, bundle: Bundle, *, drain: bool = False) -> None:
    host.transactions().apply(bundle, "0.1.0", drain=drain, who="by test")


def killed_at(step: str, act: Callable[[Callable[[str], None]], object]) -> bool:
    """In a process that is gone, without a farewell, when ``step`` begins; whether it came to that."""

    def reached(name: str) -> None:
        if name == step:
            os._exit(KILLED)

    pid = os.fork()
    if pid == 0:
        try:
            act(reached)
        except FirmwareError:
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, KILLED)
    return code == KILLED


def settled(host: Host, version: str) -> None:
    """Nothing is under way, and this version runs, from the slot that the link leads to, which is whole."""
    active = host.slots.active()
    assert active is not None
    mark = host.slots.mark(active)
    assert mark is not None
    assert (mark.version, host.running) == (version, version)
    assert host.slots.journal() is None
    assert not host.slots.staging.exists()
    assert not host.slots.probe.exists()


def test_an_update_is_staged_tried_put_in_place_and_proved_in_this_order(host: Host, bundle: Bundle) -> None:
    steps: list[str] = []
    done = host.transactions(steps.append).apply(bundle, "0.1.0", drain=False)
    settled(host, "0.2.0")
    assert (done.version, done.origin_version, done.slot) == ("0.2.0", "0.1.0", "b")
    assert steps == ["hold", *FORWARD]
    assert host.lines()[1:] == [
        "note FIRMWARE_BEGUN", "hold", "hold", "stop", "start 0.2.0", "prove 0.2.0", "release", "note FIRMWARE_APPLIED",
    ]  # fmt: skip
    last = host.slots.last()
    assert last is not None
    assert (last.outcome, last.slot, last.origin) == ("applied", "b", "a")
    assert (host.slots.root / "proven").readlink() == Path("slots/b")


def test_the_next_update_goes_into_the_slot_that_became_free(host: Host, bundle: Bundle, third: Bundle) -> None:
    apply(host, bundle)
    host.transactions().apply(third, "0.2.0", drain=False)
    settled(host, "0.3.0")
    assert host.slots.active() == "a"
    assert not (host.slots.path("a") / "v2g_orchestrator-0.2.0-py3-none-any.whl").exists()


def test_sessions_refuse_an_update_before_anything_is_done(host: Host, bundle: Bundle) -> None:
    host.sessions = ("US*V2G*E1 / 0123", "US*V2G*E2 / 4567")
    with pytest.raises(FirmwareError, match=r"US\*V2G\*E1 / 0123; US\*V2G\*E2 / 4567"):
        apply(host, bundle)
    settled(host, "0.1.0")
    assert "stop" not in host.lines()
    assert not host.slots.path("b").exists()


def test_with_drain_sessions_go_on_while_the_slot_is_filled(host: Host, bundle: Bundle) -> None:
    host.sessions = ("US*V2G*E1 / 0123",)
    held_after: list[str] = []
    done = host.transactions(held_after.append).apply(bundle, "0.1.0", drain=True)
    assert held_after.index("hold") > held_after.index("copies")
    assert done.sessions == ("US*V2G*E1 / 0123: paused",)
    assert host.lines().count("hold drain") == 1
    settled(host, "0.2.0")


def test_a_version_that_does_not_fit_is_never_put_in_place(host: Host, bundle: Bundle) -> None:
    host.unfit.add("0.2.0")
    with pytest.raises(FirmwareError, match="configuration does not hold") as caught:
        apply(host, bundle)
    assert not isinstance(caught.value, RolledBack)
    settled(host, "0.1.0")
    assert "stop" not in host.lines()
    assert host.lines()[-2:] == ["release", "note FIRMWARE_FAILED"]


def test_a_version_that_does_not_become_well_is_taken_back_by_itself(host: Host, bundle: Bundle) -> None:
    host.sick.add("0.2.0")
    with pytest.raises(RolledBack, match=r"0\.2\.0 failed, and 0\.1\.0 runs again: 0\.2\.0 is not ready"):
        apply(host, bundle)
    settled(host, "0.1.0")
    last = host.slots.last()
    assert last is not None
    assert (last.outcome, last.reason) == ("rolled_back", "0.2.0 is not ready")
    assert "note FIRMWARE_ROLLED_BACK" in host.lines()


def test_a_migrated_database_is_put_back_with_the_version_that_knows_it(host: Host, bundle: Bundle) -> None:
    host.sick.add("0.2.0")
    host.migrates.add("0.2.0")
    with pytest.raises(RolledBack):
        apply(host, bundle)
    assert host.schema == 1
    settled(host, "0.1.0")


def test_a_database_that_kept_its_schema_keeps_what_was_written_since(host: Host, bundle: Bundle) -> None:
    host.sick.add("0.2.0")

    def reached(name: str) -> None:
        if name == "prove":
            with sqlite3.connect(host.database) as connection:
                connection.execute("INSERT INTO minute VALUES (2)")

    with pytest.raises(RolledBack):
        host.transactions(reached).apply(bundle, "0.1.0", drain=False)
    with sqlite3.connect(host.database) as connection:
        assert connection.execute("SELECT count(*) FROM minute").fetchone() == (2,)


@pytest.mark.parametrize("step", FORWARD[1:])
def test_a_disk_that_is_full_from_some_step_on_leaves_what_ran_running(host: Host, bundle: Bundle, step: str) -> None:
    disk = pytest.MonkeyPatch()

    def reached(name: str) -> None:
        if name == step:
            disk.setattr(Slots, "_write", full)
            disk.setattr("v2g.host.firmware.databases.replace_file", full)

    def full(*arguments: object, **options: object) -> None:
        raise FirmwareError("no space left on device")

    try:
        with pytest.raises(FirmwareError, match="no space left"):
            host.transactions(reached).apply(bundle, "0.1.0", drain=True)
    finally:
        disk.undo()
    assert host.running == "0.1.0"
    assert host.slots.active() == "a"
    host.transactions().apply(bundle, "0.1.0", drain=False)
    settled(host, "0.2.0")


def test_ctrl_c_while_the_new_version_proves_itself_takes_it_back(host: Host, bundle: Bundle) -> None:
    def reached(name: str) -> None:
        if name == "prove":
            raise KeyboardInterrupt

    with pytest.raises(RolledBack):
        host.transactions(reached).apply(bundle, "0.1.0", drain=False)
    settled(host, "0.1.0")


@pytest.mark.parametrize("step", FORWARD)
def test_after_a_kill_at_any_step_apply_goes_on_to_the_end(host: Host, bundle: Bundle, step: str) -> None:
    host.migrates.add("0.2.0")
    assert killed_at(step, lambda reached: host.transactions(reached).apply(bundle, "0.1.0", drain=True))
    apply(host, bundle)
    settled(host, "0.2.0")
    assert host.slots.active() == "b"
    # The copies from before the update are of its database, and not of the migrated one.
    (index,) = (host.slots.backups).glob("*-0.2.0/index.json")
    assert [each["schema"] for each in json.loads(index.read_text())] == [1]


@pytest.mark.parametrize("step", FORWARD)
def test_after_a_kill_at_any_step_rollback_brings_back_what_ran(host: Host, bundle: Bundle, step: str) -> None:
    host.migrates.add("0.2.0")
    assert killed_at(step, lambda reached: host.transactions(reached).apply(bundle, "0.1.0", drain=True))
    host.transactions().roll_back(drain=False)
    settled(host, "0.1.0")
    assert host.slots.active() == "a"
    assert host.schema == 1


@pytest.mark.parametrize("step", FORWARD)
def test_after_a_loss_of_power_at_any_step_the_host_boots_into_a_proven_version(
    host: Host, bundle: Bundle, step: str
) -> None:
    host.migrates.add("0.2.0")
    assert killed_at(step, lambda reached: host.transactions(reached).apply(bundle, "0.1.0", drain=True))
    host.boot()
    assert host.running == "0.1.0"
    assert host.slots.active() == "a"
    assert host.schema == 1
    apply(host, bundle)
    settled(host, "0.2.0")


@pytest.mark.parametrize("step", FORWARD)
def test_without_the_service_of_the_boot_the_host_still_boots_into_a_whole_slot(
    host: Host, bundle: Bundle, step: str
) -> None:
    assert killed_at(step, lambda reached: host.transactions(reached).apply(bundle, "0.1.0", drain=True))
    host.stop()
    host.start()
    assert host.running in ("0.1.0", "0.2.0")


def killed_at_change(n: int, before: bool, act: Callable[[], object]) -> bool:
    """As :func:`killed_at`, right before or after the ``n``-th time that something is renamed, removed or linked."""
    count = 0

    def counted(real: Callable[..., object]) -> Callable[..., object]:
        def change(*arguments: object, **options: object) -> object:
            nonlocal count
            count += 1
            if count == n and before:
                os._exit(KILLED)
            own = count
            try:
                return real(*arguments, **options)
            finally:
                if own == n:
                    os._exit(KILLED)

        return change

    def changed(reached: object) -> None:
        for name in ("replace", "unlink", "symlink_to", "mkdir"):
            setattr(Path, name, counted(getattr(Path, name)))
        shutil.rmtree = counted(shutil.rmtree)
        act()

    return killed_at("", changed)


@pytest.mark.soak
@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("sick", [False, True])
def test_after_a_loss_of_power_at_any_change_of_the_disk_the_host_boots_and_can_be_updated(
    tmp_path: Path, bundle: Bundle, before: bool, sick: bool
) -> None:
    n, finished = 0, 0
    while True:
        n += 1
        host = Host(tmp_path / f"host-{n}")
        host.slots.root.parent.mkdir()
        host.install_first()
        host.migrates.add("0.2.0")
        host.sick |= {"0.2.0"} if sick else set()
        if not killed_at_change(n, before, lambda host=host: apply(host, bundle)):
            break
        host.boot()
        runs = host.running
        assert runs in ("0.1.0", "0.2.0")
        assert host.schema == (2 if runs == "0.2.0" else 1)
        last = host.slots.last()
        assert runs == "0.1.0" or (last is not None and last.outcome == "applied" and not sick)
        finished += runs == "0.2.0"
        host.sick.clear()
        host.transactions().apply(bundle, runs, drain=False)
        settled(host, "0.2.0")
    assert n > 25
    assert sick or 0 < finished < 8


@pytest.mark.parametrize("step", BACK)
@pytest.mark.parametrize("way", ["apply", "rollback", "boot"])
def test_after_a_kill_on_the_way_back_each_way_on_ends_there(host: Host, bundle: Bundle, step: str, way: str) -> None:
    host.migrates.add("0.2.0")
    host.sick.add("0.2.0")
    assert killed_at(step, lambda reached: host.transactions(reached).apply(bundle, "0.1.0", drain=True))
    journal = host.slots.journal()
    assert journal is not None
    if way == "apply":
        with pytest.raises(FirmwareError):
            apply(host, bundle)
    elif way == "rollback":
        host.transactions().roll_back(drain=False)
    else:
        host.boot()
    settled(host, "0.1.0")
    assert host.schema == 1


@pytest.mark.parametrize("step", FORWARD[:6])
def test_another_bundle_takes_the_place_of_one_that_did_not_come_to_the_swap(
    host: Host, bundle: Bundle, third: Bundle, step: str
) -> None:
    assert killed_at(step, lambda reached: host.transactions(reached).apply(bundle, "0.1.0", drain=True))
    apply(host, third)
    settled(host, "0.3.0")


def test_another_bundle_is_refused_while_one_waits_for_its_proof(host: Host, bundle: Bundle, third: Bundle) -> None:
    assert killed_at("prove", lambda reached: host.transactions(reached).apply(bundle, "0.1.0", drain=True))
    with pytest.raises(FirmwareError, match=r"update to 0\.2\.0 is under way \(trial\)"):
        apply(host, third)


def test_rollback_without_an_update_under_way_goes_back_once(host: Host, bundle: Bundle) -> None:
    host.migrates.add("0.2.0")
    apply(host, bundle)
    done = host.transactions().roll_back(drain=False)
    assert done.databases == (str(host.database),)
    settled(host, "0.1.0")
    assert host.schema == 1
    with pytest.raises(FirmwareError, match="nothing to go back to"):
        host.transactions().roll_back(drain=False)


def test_rollback_refuses_while_sessions_are_active(host: Host, bundle: Bundle) -> None:
    apply(host, bundle)
    host.sessions = ("US*V2G*E1 / 0123",)
    with pytest.raises(FirmwareError, match="sessions are active"):
        host.transactions().roll_back(drain=False)
    settled(host, "0.2.0")
    host.transactions().roll_back(drain=True)
    settled(host, "0.1.0")


def test_rollback_refuses_a_slot_that_was_emptied_meanwhile(host: Host, bundle: Bundle, third: Bundle) -> None:
    apply(host, bundle)
    host.unfit.add("0.3.0")
    with pytest.raises(FirmwareError):
        host.transactions().apply(third, "0.2.0", drain=False)
    host.slots.clear("a")
    with pytest.raises(FirmwareError, match="slot a is not whole any more"):
        host.transactions().roll_back(drain=False)
    settled(host, "0.2.0")


def test_an_installers_slot_without_a_mark_can_be_gone_back_to(host: Host, bundle: Bundle) -> None:
    (host.slots.path("a") / "v2g-slot.json").unlink()
    apply(host, bundle)
    host.transactions().roll_back(drain=False)
    settled(host, "0.1.0")


def test_the_first_installation_into_slots_ends_in_a_proven_one_or_in_none(tmp_path: Path, bundle: Bundle) -> None:
    host = Host(tmp_path)
    host.sick.add("0.2.0")
    with pytest.raises(RolledBack, match="nothing is in place again"):
        host.transactions().apply(bundle, "", drain=False)
    assert host.slots.active() is None
    assert host.running == ""
    host.sick.clear()
    host.transactions().apply(bundle, "", drain=False)
    settled(host, "0.2.0")


def test_without_room_nothing_is_begun(host: Host, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    with pytest.raises(FirmwareError, match=r"has 0 MiB left, and 0 MiB are needed: make room"):
        apply(host, bundle)
    settled(host, "0.1.0")


def test_two_commands_at_once_are_one_too_many(host: Host, bundle: Bundle) -> None:
    with host.slots.locked(), pytest.raises(FirmwareError, match=f"process {os.getpid()} is changing"):
        apply(host, bundle)


def test_a_directory_that_others_may_write_is_refused(host: Host, bundle: Bundle) -> None:
    host.slots.root.chmod(0o777)
    with pytest.raises(FirmwareError, match="may be written by others"):
        apply(host, bundle)


@pytest.mark.parametrize("target", ["slots/c", "/opt/elsewhere/slots/a", "slots/../slots/a"])
def test_a_link_that_leads_elsewhere_is_refused(host: Host, bundle: Bundle, target: str) -> None:
    host.slots.current.unlink()
    host.slots.current.symlink_to(target)
    with pytest.raises(FirmwareError, match="has to lead to slots/a or slots/b"):
        apply(host, bundle)


def test_a_journal_of_a_newer_tool_or_a_damaged_one_is_told(host: Host, bundle: Bundle) -> None:
    path = host.slots.root / "journal.json"
    path.write_text('{"schema": 2}')
    with pytest.raises(FirmwareError, match="written by a newer v2g-tool"):
        apply(host, bundle)
    path.write_text("{")
    with pytest.raises(FirmwareError, match="is damaged"):
        apply(host, bundle)


@pytest.mark.parametrize("step", Step)
def test_every_step_has_words_and_a_way_on(step: Step) -> None:
    journal = Journal(
        id="1", step=step, slot="b", origin="a", version="0.2.0", origin_version="0.1.0", digest="d", began_unix_s=0.0
    )
    assert "0.1.0 to 0.2.0" in words(journal)
    for active in ("a", "b"):
        for whole in (False, True):
            on = resumes_at(journal, "d", slot_is_whole=whole, active=active)
            assert on in (Step.STAGING, Step.CHECKING, Step.TRIAL, Step.RETURNING)
            assert on is not Step.TRIAL or (whole and active == "b")
