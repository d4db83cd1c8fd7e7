"""What a drop-in said before is kept, a bounded number of times, and comes back whole."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from v2g.config import backups as module
from v2g.config import writer
from v2g.config.backups import KEPT, backups
from v2g.config.loader import ConfigError, load
from v2g.config.writer import restore_backup, write_dropin

Configure = Callable[..., Path]


def content(path: Path) -> object:
    return yaml.safe_load(path.read_text())


def test_the_first_change_has_nothing_to_keep_and_the_next_ones_do(configure: Configure) -> None:
    config_dir = configure()
    write_dropin(config_dir, {"dispatch.dwell_s": 100})
    assert backups(config_dir / "conf.d") == ()
    write_dropin(config_dir, {"dispatch.dwell_s": 200})
    write_dropin(config_dir, {"site.name": "X"})
    found = backups(config_dir / "conf.d")
    assert [(each.name, each.number) for each in found] == [("90-operator.yaml", 2), ("90-operator.yaml", 1)]
    assert content(found[0].path) == {"dispatch": {"dwell_s": 200}}
    assert content(found[1].path) == {"dispatch": {"dwell_s": 100}}
    assert load(config_dir).warnings == (), "they are no drop-ins, and nobody is warned of them"


def test_only_the_newest_are_kept(configure: Configure) -> None:
    config_dir = configure()
    for dwell_s in range(100, 100 + KEPT + 5):
        write_dropin(config_dir, {"dispatch.dwell_s": dwell_s})
    numbers = [each.number for each in backups(config_dir / "conf.d")]
    assert numbers == list(range(KEPT + 4, 4, -1))


def test_a_text_that_is_kept_already_is_not_kept_twice(configure: Configure) -> None:
    config_dir = configure()
    write_dropin(config_dir, {"dispatch.dwell_s": 100})
    write_dropin(config_dir, {"dispatch.dwell_s": 200})
    writer.restore_dropin(config_dir, "90-operator.yaml", writer.read_dropin(config_dir))
    write_dropin(config_dir, {"dispatch.dwell_s": 100})
    write_dropin(config_dir, {"dispatch.dwell_s": 300})
    texts = [each.path.read_text() for each in backups(config_dir / "conf.d")]
    assert all(above != below for above, below in itertools.pairwise(texts))


def test_a_backup_comes_back_whole_and_what_it_replaces_is_kept(configure: Configure) -> None:
    config_dir = configure()
    write_dropin(config_dir, {"dispatch.dwell_s": 100})
    write_dropin(config_dir, {"dispatch.dwell_s": 200, "site.name": "X"})
    loaded = restore_backup(config_dir, "90-operator.yaml", 1)
    assert (loaded.config.dispatch.dwell_s, loaded.config.site.name) == (100, "")
    assert load(config_dir).config == loaded.config
    assert content(backups(config_dir / "conf.d")[0].path) == {"dispatch": {"dwell_s": 200}, "site": {"name": "X"}}
    with pytest.raises(ValueError, match="there is no backup 7 of 90-operator"):
        restore_backup(config_dir, "90-operator.yaml", 7)


def test_a_backup_with_which_nothing_would_hold_is_refused(configure: Configure) -> None:
    config_dir = configure()
    write_dropin(config_dir, {"evses[US*V2G*E2].max_charge_w": 9000})
    write_dropin(config_dir, {"site.name": "X"})
    before = (config_dir / "conf.d" / "90-operator.yaml").read_text()
    kept = backups(config_dir / "conf.d")[0].path
    kept.write_text("evses: [{id: US*V2G*E7}]\n")
    with pytest.raises(ConfigError):
        restore_backup(config_dir, "90-operator.yaml", 1)
    assert (config_dir / "conf.d" / "90-operator.yaml").read_text() == before


def test_a_full_disk_loses_nothing(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    config_dir = configure()
    write_dropin(config_dir, {"dispatch.dwell_s": 100})
    before = (config_dir / "conf.d" / "90-operator.yaml").read_text()

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_dropin(config_dir, {"dispatch.dwell_s": 200})
    assert (config_dir / "conf.d" / "90-operator.yaml").read_text() == before
    assert backups(config_dir / "conf.d") == (), "half a copy is no backup"


def test_no_link_is_followed(configure: Configure, tmp_path: Path) -> None:
    config_dir = configure()
    write_dropin(config_dir, {"dispatch.dwell_s": 100})
    (tmp_path / "elsewhere").mkdir()
    (config_dir / "conf.d" / ".backup").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError):
        write_dropin(config_dir, {"dispatch.dwell_s": 200})
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_another_writer_that_does_not_end_is_told(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    config_dir = configure()
    write_dropin(config_dir, {"dispatch.dwell_s": 100})
    monkeypatch.setattr(writer, "LOCK_WITHIN_S", 0.05)
    with writer._locked(config_dir / "conf.d"), pytest.raises(TimeoutError, match="another command has been writing"):
        write_dropin(config_dir, {"dispatch.dwell_s": 200})
    write_dropin(config_dir, {"dispatch.dwell_s": 200})


@pytest.mark.skipif(os.getuid() != 0, reason="needs to give files away")
def test_what_root_writes_belongs_to_the_owner_of_the_directory(configure: Configure) -> None:
    config_dir = configure()
    os.chown(config_dir / "conf.d", 65534, 65534)
    write_dropin(config_dir, {"dispatch.dwell_s": 100})
    write_dropin(config_dir, {"dispatch.dwell_s": 200})
    owned = {path: path.lstat().st_uid for path in (config_dir / "conf.d").rglob("*")}
    assert len(owned) == 4, "lock, drop-in, directory of backups, backup"
    assert set(owned.values()) == {65534}
