"""Files of the configuration from other schemas: older ones are brought forward, newer ones are refused."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from v2g.cli.config import cli
from v2g.config import migrate
from v2g.config.loader import load
from v2g.config.migrate import Change, Drop, Migration, Rename, forward, read, stamped
from v2g.config.migrate_files import moves, write
from v2g.config.problems import ConfigError
from v2g.config.tree import parse
from v2g.config.writer import write_dropin

EXAMPLE = (
    Migration(
        "evses: max_kw is max_charge_w, in W",
        (
            Change(("evses", "*", "max_kw"), lambda text: f"{float(text) * 1000:g}"),
            Rename(("evses", "*", "max_kw"), "max_charge_w"),
        ),
    ),
    Migration(
        "site.owner is gone, dispatch.min_soc is min_soc_pct",
        (Drop(("site", "owner"), "nobody reads it"), Rename(("dispatch", "min_soc"), "min_soc_pct")),
    ),
)
"""Two, so that a file may be of schema 1, 2 or 3."""

OLD = """\
# our site
site:
  id: s1   # its name
  owner: Anna
evses:
  - id: US*V2G*E1
    max_kw: 22      # was 11 before
    interface: evse1
  - {id: US*V2G*E2, max_kw: 11, interface: evse2}
dispatch: {min_soc: 30}
"""
NEW = """\
# our site
site:
  id: s1   # its name
  # owner: Anna  (nobody reads it)
evses:
  - id: US*V2G*E1
    max_charge_w: 22000      # was 11 before
    interface: evse1
  - {id: US*V2G*E2, max_charge_w: 11000, interface: evse2}
dispatch: {min_soc_pct: 30}
"""


def test_an_older_file_is_read_as_the_newest_and_its_comments_and_lines_stay() -> None:
    assert forward(OLD, 1, EXAMPLE) == NEW
    found = read(OLD, "v2g.yaml", EXAMPLE)
    assert found.tree.plain() == {**yaml.safe_load(NEW), "schema_version": 3}
    assert found.notice.startswith("v2g.yaml is of schema 1 and is read as 3 (evses: max_kw is max_charge_w, in W; ")
    lines = dict(found.tree.leaves())
    assert lines["evses[0].interface"].line == 8
    assert lines["evses[1].max_charge_w"].line == 9


def test_only_the_steps_that_a_file_lacks_are_done() -> None:
    second = "schema_version: 2\nsite: {id: s1, owner: Anna}\nevses:\n  - {max_kw: 3}\n"
    found = read(second, "x", EXAMPLE)
    assert found.tree.plain() == {"schema_version": 3, "site": {"id": "s1"}, "evses": [{"max_kw": 3}]}


def test_a_file_of_the_newest_schema_is_taken_as_it_is() -> None:
    text = "schema_version: 3\nsite: {owner: Anna}\n"
    found = read(text, "x", EXAMPLE)
    assert (found.tree, found.notice) == (parse(text, "x"), "")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("schema_version: 4", r"x:1: schema_version: 4: was written for a newer v2g-orchestrator; this one \(.*\) "),
        ("schema_version: 0", "is no schema version"),
        ("schema_version: '2'", "is no schema version"),
        ("schema_version: true", "is no schema version"),
        ("schema_version: [1]", "is no schema version"),
    ],
)
def test_what_is_no_schema_of_ours_is_told_with_its_place(line: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        read(f"{line}\nsite: {{}}\n", "x", EXAMPLE)


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("a: {x: 1, owner: 2, y: 3}", "a: {x: 1, y: 3}"),
        ("a: {x: 1, owner: 2}", "a: {x: 1}"),
        ("a: {owner: 2}", "a: {}"),
        ("a:\n  owner:\n    - 1\n    - 2\n  x: 1\n", "a:\n  # owner:\n  # - 1\n  # - 2  \n  x: 1\n"),
        ("a:\n  owner: 1", "a:\n  # owner: 1"),
        ("a:\n  owner: |\n    long\n    text\n  x: 1\n", "a:\n  x: 1\n"),
        ("b: &b [1]\na:\n  owner: *b\n  x: 1\n", "b: [1]\na:\n  x: 1\n"),
        ("a:\n  owner: {y: [1,\n    2]}\n  x: 1\n", "a:\n  x: 1\n"),
    ],
)
def test_a_key_that_is_dropped_leaves_a_document_that_means_the_rest(text: str, after: str) -> None:
    dropped = forward(text, 1, (Migration("m", (Drop(("a", "owner"), "why"),)),))
    assert yaml.safe_load(dropped) == yaml.safe_load(after)
    assert dropped.count("\n") == text.count("\n")


def test_an_anchor_is_changed_once_for_all_of_its_aliases() -> None:
    text = "base: &b {max_kw: 3}\nevses: [*b, *b]\n"
    once = (Migration("m", (Change(("evses", "*", "max_kw"), lambda number: f"{number}000"),)),)
    assert yaml.safe_load(forward(text, 1, once))["evses"] == [{"max_kw": 3000}, {"max_kw": 3000}]


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("# top\n\nsite: {}\n", "# top\n\nschema_version: 2\nsite: {}\n"),
        ("schema_version: 1  # mine\nsite: {}\n", "schema_version: 2  # mine\nsite: {}\n"),
        ("{a: 1}\n", "{schema_version: 2, a: 1}\n"),
        ("", "schema_version: 2\n"),
        ("# nothing\n", "schema_version: 2\n# nothing\n"),
        ("---\na: 1\n", "---\nschema_version: 2\na: 1\n"),
    ],
)
def test_the_schema_is_written_into_its_place_or_as_the_first_key(text: str, after: str) -> None:
    assert stamped(text, 2) == after
    assert yaml.safe_load(after)["schema_version"] == 2


def test_text_outside_of_the_first_plane_does_not_shift_the_places() -> None:
    text = "site: {name: 'Ahornstraße 🍁'}\nevses:\n  - {id: ä, max_kw: 3}\n"
    assert yaml.safe_load(forward(text, 1, EXAMPLE))["evses"] == [{"id": "ä", "max_charge_w": 3000}]


# ---- the whole directory --------------------------------------------------------------------------------------------

RENAMED = (Migration("dispatch.min_soc is min_soc_pct", (Rename(("dispatch", "min_soc"), "min_soc_pct"),)),)


@pytest.fixture
def older(configure: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of schema 1, where 2 is the newest."""
    folder = configure(**{"90-operator": "dispatch: {min_soc: 35}\n"})
    monkeypatch.setattr(migrate, "MIGRATIONS", RENAMED)
    monkeypatch.setattr("v2g.config.migrate_files.MIGRATIONS", RENAMED)
    monkeypatch.setattr("v2g.config.writer.SCHEMA_VERSION", 2)
    return folder


def test_an_older_directory_is_loaded_with_a_notice_for_each_file(older: Path) -> None:
    loaded = load(older)
    assert loaded.config.dispatch.min_soc_pct == 35
    assert loaded.config.schema_version == 2
    assert sum("is read as 2" in warning for warning in loaded.warnings) == 2


def test_a_drop_in_of_a_newer_schema_is_refused_with_its_place(older: Path) -> None:
    (older / "conf.d" / "95-new.yaml").write_text("schema_version: 3\n")
    with pytest.raises(ConfigError, match=r"95-new\.yaml:1: schema_version: 3: was written for a newer"):
        load(older)


def test_a_command_that_writes_a_drop_in_brings_it_forward(older: Path) -> None:
    write_dropin(older, {"dispatch.dwell_s": 300})
    text = (older / "conf.d" / "90-operator.yaml").read_text()
    assert yaml.safe_load(text) == {"schema_version": 2, "dispatch": {"min_soc_pct": 35, "dwell_s": 300}}


def test_files_are_brought_forward_on_the_disk_with_what_they_were_beside_them(older: Path) -> None:
    main, dropin = older / "v2g.yaml", older / "conf.d" / "90-operator.yaml"
    before = main.read_text()
    dropin.chmod(0o640)
    answer = CliRunner().invoke(cli, ["migrate", "--config", str(older)])
    assert answer.exit_code == 0, answer.output
    assert f"{dropin}: is of schema 2, was 1" in answer.output
    assert yaml.safe_load(dropin.read_text()) == {"schema_version": 2, "dispatch": {"min_soc_pct": 35}}
    assert stat.S_IMODE(dropin.stat().st_mode) == 0o640
    assert main.with_name("v2g.yaml.schema-1.bak").read_text() == before
    assert (older / "conf.d" / ".backup" / "90-operator.yaml.schema-1.bak").exists()
    loaded = load(older)
    assert not any("schema" in warning or "ignored" in warning for warning in loaded.warnings)
    again = CliRunner().invoke(cli, ["migrate", "--config", str(older)])
    assert (again.exit_code, again.output) == (0, "every file is of the newest schema: nothing to do\n")


def test_a_dry_run_changes_nothing(older: Path) -> None:
    before = {path: path.read_bytes() for path in older.rglob("*") if path.is_file()}
    answer = CliRunner().invoke(cli, ["migrate", "--dry-run", "--config", str(older)])
    assert answer.exit_code == 0
    assert "would be of schema 2" in answer.output
    assert {path: path.read_bytes() for path in older.rglob("*") if path.is_file()} == before


def test_nothing_is_written_where_the_result_would_not_hold(older: Path) -> None:
    (older / "conf.d" / "91-more.yaml").write_text("dispatch: {min_soc: 135}\n")
    answer = CliRunner().invoke(cli, ["migrate", "--config", str(older)])
    assert answer.exit_code == 1
    assert "must be at most 100" in answer.output
    assert not list(older.rglob("*.bak"))


def test_a_crash_between_two_files_is_gone_on_from(older: Path) -> None:
    found = moves(older)
    assert len(found) == 2
    write(found[:1])
    left = moves(older)
    assert [each.file for each in left] == [found[1].file]
    write(left)
    assert moves(older) == ()
