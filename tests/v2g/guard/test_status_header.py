"""Which tick writes the guard's status, told to every version."""

from __future__ import annotations

from pathlib import Path

import pytest

from v2g import __version__
from v2g.guard.status import GuardStatus, Permit
from v2g.guard.status_block import LAYOUT, StatusReader, StatusWriter
from v2g.guard.status_header import Header, magic, read_header


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "guard-status"


def granted() -> GuardStatus:
    return GuardStatus(as_of_s=10.0, permit=Permit.GRANTED, breaker_commanded_closed=True, breaker_closed=True)


def test_the_writer_tells_its_version_and_layout(path: Path) -> None:
    writer = StatusWriter(path)
    writer.publish(granted())
    assert read_header(path) == Header(LAYOUT, __version__)
    assert StatusReader(path).read(10.0).permit is Permit.GRANTED
    writer.close()


def test_a_status_of_another_layout_gives_no_permit_and_says_whose_it_is(path: Path) -> None:
    writer = StatusWriter(path)
    writer.publish(granted())
    writer.close()
    data = bytearray(path.read_bytes())
    data[:8] = magic(LAYOUT + 1)
    data[8:40] = b"0.9.0".ljust(32, b"\0")
    path.write_bytes(data)
    assert StatusReader(path).read(10.0).permit is Permit.GUARD_STALE
    assert read_header(path) == Header(LAYOUT + 1, "0.9.0")


@pytest.mark.parametrize("content", [b"", b"V2GST", b"\0" * 64, b"x" * 4096])
def test_what_is_no_status_has_no_header(path: Path, content: bytes) -> None:
    assert read_header(path) is None
    path.write_bytes(content)
    assert read_header(path) is None


def test_a_version_that_is_no_text_is_not_shown(path: Path) -> None:
    path.write_bytes(magic(3) + b"\x1b[31m".ljust(56, b"\0"))
    assert read_header(path) == Header(3, "")
