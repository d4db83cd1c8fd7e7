"""What happens to a file: by what is to be there, what is there, and what was put there."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest

from v2g.host.install.manifest import Entry, Manifest, digest
from v2g.host.install.placing import Placed
from v2g.host.install.plan import Did, Plan, plan

PATH = "/etc/v2g/v2g.yaml"
NEW = f"{PATH}.new"


def made_of(disk: Mapping[str, bytes], before: Manifest, *wanted: bytes) -> Plan:
    directories = {"/", "/etc"} | ({"/etc/v2g"} if disk else set())
    placed = [Placed(PATH, data, 0o644) for data in wanted]
    return plan(placed, before, disk.get, directories.__contains__)


def of(**hashes: tuple[bytes, ...]) -> Manifest:
    paths = {"own": PATH, "new": NEW}
    entries = [Entry(path=paths[n], sha256=tuple(digest(data) for data in each)) for n, each in hashes.items()]
    return Manifest(files=tuple(entries))


def told(made: Plan) -> list[tuple[Did, str, bool]]:
    return [(step.line.did, step.line.path, step.line.changed) for step in made.steps]


def test_a_file_that_is_missing_is_made_with_its_directories_from_the_top() -> None:
    made = made_of({}, Manifest(), b"1")
    assert told(made) == [(Did.MADE, PATH, True)]
    assert made.steps[0].write == Placed(PATH, b"1", 0o644)
    assert made.directories == ["/etc/v2g"]
    assert made.final.directories == ("/etc/v2g",)


def test_a_file_that_is_as_it_should_be_is_kept_and_ours_even_if_nobody_recorded_it() -> None:
    made = made_of({PATH: b"1"}, Manifest(), b"1")
    assert told(made) == [(Did.KEPT, PATH, False)]
    assert made.final == of(own=(b"1",))


def test_a_file_that_nobody_edited_is_updated() -> None:
    made = made_of({PATH: b"1"}, of(own=(b"1",)), b"2")
    assert told(made) == [(Did.UPDATED, PATH, True)]
    assert made.intended == of(own=(b"1", b"2"))
    assert made.final == of(own=(b"2",))


@pytest.mark.parametrize("before", [Manifest(), of(own=(b"1",))], ids=["there before us", "edited since"])
def test_a_file_of_somebody_is_kept_and_the_new_one_put_beside_it(before: Manifest) -> None:
    made = made_of({PATH: b"mine"}, before, b"2")
    assert told(made) == [(Did.KEPT_YOURS, PATH, True)]
    assert made.steps[0].write == Placed(NEW, b"2", 0o644)
    assert "v2g.yaml.new" in made.steps[0].line.note
    assert made.final == of(own=(b"2",), new=(b"2",))


def test_what_is_shipped_unchanged_is_not_offered_again() -> None:
    made = made_of({PATH: b"mine"}, of(own=(b"1",)), b"1")
    assert told(made) == [(Did.KEPT_YOURS, PATH, False)]
    assert made.steps[0].write is None
    assert made.final == of(own=(b"1",))


def test_the_second_run_beside_an_edited_file_changes_nothing() -> None:
    first = made_of({PATH: b"mine"}, of(own=(b"1",)), b"2")
    again = made_of({PATH: b"mine", NEW: b"2"}, first.final, b"2")
    assert told(again) == [(Did.KEPT_YOURS, PATH, False)]
    assert again.final == first.final


def test_a_new_one_that_was_taken_away_stays_away() -> None:
    again = made_of({PATH: b"mine"}, of(own=(b"2",), new=(b"2",)), b"2")
    assert [step.write for step in again.steps if step.write] == []
    assert again.final == of(own=(b"2",))


def test_a_file_beside_yours_that_is_yours_too_is_not_replaced_and_the_new_one_offered_until_there_is_room() -> None:
    made = made_of({PATH: b"mine", NEW: b"my draft"}, of(own=(b"1",)), b"2")
    assert told(made) == [(Did.KEPT_YOURS, PATH, False)]
    assert made.steps[0].write is None
    later = made_of({PATH: b"mine"}, made.final, b"2")
    assert later.steps[0].write == Placed(NEW, b"2", 0o644)


def test_a_merged_file_takes_the_new_one_beside_it_away() -> None:
    made = made_of({PATH: b"2", NEW: b"2"}, of(own=(b"2",), new=(b"2",)), b"2")
    assert told(made) == [(Did.KEPT, PATH, False), (Did.REMOVED, NEW, True)]
    assert made.steps[1].remove == NEW
    assert made.final == of(own=(b"2",))


@pytest.mark.parametrize(
    ("disk", "did"),
    [({PATH: b"1"}, Did.REMOVED), ({PATH: b"mine"}, Did.KEPT_YOURS), ({}, Did.NOTE)],
    ids=["untouched", "edited", "gone"],
)
def test_a_file_that_this_version_has_no_more(disk: dict[str, bytes], did: Did) -> None:
    made = made_of(disk, of(own=(b"1",)))
    assert [(step.line.did, bool(step.remove)) for step in made.steps] == [(did, did is Did.REMOVED)]
    assert made.final == Manifest()


@pytest.mark.parametrize("reached", ["nothing", "everything"])
def test_an_update_that_was_stopped_is_ended_by_the_next_run(reached: str) -> None:
    stopped = made_of({PATH: b"1"}, of(own=(b"1",)), b"2").intended
    disk = {PATH: b"2" if reached == "everything" else b"1"}
    again = made_of(disk, stopped, b"2")
    assert told(again)[0][0] is (Did.KEPT if reached == "everything" else Did.UPDATED)
    assert again.final == of(own=(b"2",))


@pytest.mark.parametrize("before", [Manifest(), of(own=(b"1",))], ids=["there before us", "edited since"])
def test_an_offer_that_was_stopped_is_made_by_the_next_run(before: Manifest) -> None:
    stopped = made_of({PATH: b"mine"}, before, b"2").intended
    again = made_of({PATH: b"mine"}, stopped, b"2")
    assert again.steps[0].write == Placed(NEW, b"2", 0o644)


@pytest.mark.parametrize(("complete", "did"), [(False, Did.UPDATED), (True, Did.KEPT_YOURS)])
def test_an_empty_file_is_what_a_power_failure_left_only_where_the_work_was_not_ended(complete: bool, did: Did) -> None:
    begun = msgspec.structs.replace(made_of({}, Manifest(), b"1").intended, complete=complete)
    assert told(made_of({PATH: b""}, begun, b"1"))[0][0] is did
