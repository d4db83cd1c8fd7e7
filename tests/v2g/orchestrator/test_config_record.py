from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from v2g.orchestrator.config_record import NONE, Change, ConfigRecord, fields


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    etc = tmp_path / "etc"
    (etc / "conf.d").mkdir(parents=True)
    (etc / "v2g.yaml").write_text("site: {id: s1}\n")
    (etc / "sensor_map.conf").write_text("top_oil\n")
    (etc / "conf.d/90-operator.yaml").write_text("dispatch: {}\n")
    (etc / "openadr.secret").write_text("hunter2")
    (etc / ".v2g.yaml.swp").write_text("")
    return etc


def record(etc: Path) -> ConfigRecord:
    return ConfigRecord(etc, etc.parent)


def names(changes: list[Change]) -> list[tuple[str, bool, bool]]:
    return [(change.file, change.was == NONE, change.now == NONE) for change in changes]


def test_at_first_every_file_is_new_and_secrets_are_not_looked_at(etc: Path) -> None:
    first = record(etc)
    changes = first.begin()
    assert [change.file for change in changes] == ["conf.d/90-operator.yaml", "sensor_map.conf", "v2g.yaml"]
    assert {change.was for change in changes} == {NONE}
    assert changes[2].now == hashlib.sha256(b"site: {id: s1}\n").hexdigest()[:16]
    assert (first.count, first.before) == (3, "unknown")


def test_a_file_edited_between_two_starts_is_named_with_what_it_was(etc: Path) -> None:
    first = record(etc)
    first.begin()
    digest = first.digest
    first.end()
    second = record(etc)
    assert second.begin() == []
    assert (second.digest, second.before) == (digest, "ended")
    second.end()
    (etc / "v2g.yaml").write_text("site: {id: s2}\n")
    third = record(etc)
    (change,) = third.begin()
    assert change.file == "v2g.yaml"
    assert change.was == hashlib.sha256(b"site: {id: s1}\n").hexdigest()[:16]
    assert third.digest != digest
    told = fields(change)
    assert (told["owner"], told["sha256"]) == (f"uid {(etc / 'v2g.yaml').stat().st_uid}", change.now)


def test_files_that_come_and_go_are_named(etc: Path) -> None:
    running = record(etc)
    running.begin()
    assert running.look() == []
    (etc / "conf.d/50-new.yaml").write_text("x: 1\n")
    (etc / "conf.d/90-operator.yaml").unlink()
    assert names(running.look()) == [("conf.d/50-new.yaml", True, False), ("conf.d/90-operator.yaml", False, True)]
    assert running.look() == []


def test_a_file_written_anew_with_the_same_content_is_no_change(etc: Path) -> None:
    running = record(etc)
    running.begin()
    (etc / "v2g.yaml").unlink()
    (etc / "v2g.yaml").write_text("site: {id: s1}\n")
    assert running.look() == []


def test_a_run_that_was_killed_is_known_at_the_next_start(etc: Path) -> None:
    record(etc).begin()
    after = record(etc)
    after.begin()
    assert after.before == "not ended"


@pytest.mark.parametrize("content", ["", "{", '{"files": 5, "running": true}', "[]"])
def test_a_record_that_cannot_be_read_makes_every_file_new(etc: Path, content: str) -> None:
    record(etc).begin()
    (etc.parent / "audit.config").write_text(content)
    again = record(etc)
    assert len(again.begin()) == 3
    assert again.before == "unknown"


def test_nothing_here_keeps_the_daemon_from_starting(tmp_path: Path) -> None:
    nowhere = ConfigRecord(tmp_path / "absent", tmp_path / "absent")
    assert nowhere.begin() == []
    assert nowhere.end() == []
    looped = tmp_path / "etc"
    looped.mkdir()
    (looped / "a.yaml").symlink_to("a.yaml")
    (looped / "b.yaml").mkdir()
    assert ConfigRecord(looped, tmp_path).begin() == []
