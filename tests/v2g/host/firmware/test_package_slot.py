"""A host that was installed from a package: its version is one to come from and to go back to."""

from __future__ import annotations

from pathlib import Path

import pytest

from v2g.host.firmware.errors import FirmwareError
from v2g.host.firmware.slots import Mark, Slots
from v2g.host.firmware.steps import PACKAGE, other


@pytest.fixture
def slots(tmp_path: Path) -> Slots:
    made = Slots(tmp_path)
    (tmp_path / PACKAGE).mkdir()
    made.current.symlink_to(PACKAGE)
    return made


def test_what_the_package_put_there_runs_and_slot_a_is_filled_first(slots: Slots) -> None:
    assert slots.active() == PACKAGE
    assert other(PACKAGE) == "a"
    slots.seal(PACKAGE, Mark(version="0.1.0", digest=""))
    assert slots.mark(PACKAGE) == Mark(version="0.1.0", digest="")


def test_the_link_goes_to_a_slot_and_back_to_the_package(slots: Slots) -> None:
    slots.path("a").mkdir(parents=True)
    slots.point_to("a")
    assert slots.active() == "a"
    slots.call_proven(PACKAGE)
    slots.point_to(PACKAGE)
    assert slots.current.readlink() == Path(PACKAGE)
    assert (slots.root / "proven").readlink() == Path(PACKAGE)


def test_the_package_is_never_emptied_even_when_it_does_not_run(slots: Slots) -> None:
    slots.point_to("b")
    with pytest.raises(FirmwareError, match="belongs to the package manager"):
        slots.clear(PACKAGE)
    assert slots.path(PACKAGE).is_dir()
