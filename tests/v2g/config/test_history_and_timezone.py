from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from v2g.config.loader import ConfigError, Problem, load
from v2g.config.paths import run_paths

Configure = Callable[..., Path]


def problem(config_dir: Path) -> Problem:
    with pytest.raises(ConfigError) as caught:
        load(config_dir)
    (only,) = caught.value.problems
    return only


def test_a_zone_that_nobody_knows_is_a_problem_at_its_line(configure: Configure) -> None:
    found = problem(configure(**{"50-x": "site:\n  timezone: Europe/Berlim\n"}))
    assert (found.path, found.value, found.line) == ("site.timezone", "'Europe/Berlim'", 2)
    assert found.reason == "is no known time zone"
    assert found.remedy.startswith("write an IANA name, such as Europe/Berlin")


def test_a_known_zone_and_a_place_for_the_history_are_taken(configure: Configure, tmp_path: Path) -> None:
    loaded = load(configure(**{"50-x": f"{{site: {{timezone: Asia/Kolkata}}, history: {{path: {tmp_path}/h.db}}}}"}))
    assert run_paths(loaded.config).history == tmp_path / "h.db"
    assert loaded.warnings == ()


@pytest.mark.parametrize(
    ("path", "reason", "remedy"),
    [
        ("history.sqlite", "is no absolute path", "begin it with /, or leave it empty"),
        ("/var/lib/v2g/", "is a directory", "name a file: /var/lib/v2g/history.sqlite"),
        ("/tmp", "is a directory", "name a file: /tmp/history.sqlite"),
    ],
)
def test_what_is_no_file_is_a_problem(configure: Configure, path: str, reason: str, remedy: str) -> None:
    found = problem(configure(**{"50-x": f"history: {{path: {path}}}"}))
    assert (found.path, found.reason, found.remedy) == ("history.path", reason, remedy)


def test_a_missing_directory_is_a_warning_since_control_does_not_need_the_history(configure: Configure) -> None:
    (warning,) = load(configure(**{"50-x": "history: {path: /nowhere/disk/h.sqlite}"})).warnings
    assert "/nowhere/disk is no directory at present" in str(warning)
    assert "create it for the daemon's user, or mount its disk" in str(warning)


def test_a_place_that_is_emptied_at_boot_is_a_warning(configure: Configure, tmp_path: Path) -> None:
    text = f"{{paths: {{run_dir: {tmp_path}}}, history: {{path: {tmp_path}/h.sqlite}}}}"
    (warning,) = load(configure(**{"50-x": text})).warnings
    assert "emptied at each boot: choose a place on a disk" in str(warning)


@pytest.mark.parametrize(("key", "value"), [("keep_days", 0), ("max_mb", 7), ("keep_days", 1.5)])
def test_bounds_that_hold_nothing_are_refused(configure: Configure, key: str, value: float) -> None:
    assert problem(configure(**{"50-x": f"history: {{{key}: {value}}}"})).path == f"history.{key}"
