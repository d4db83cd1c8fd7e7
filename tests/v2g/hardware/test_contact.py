"""A contact's position in a file: relay feedback, loss of mains."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import pytest

from v2g.hardware.contact import ContactReader, ContactWriter
from v2g.hardware.ports import DeviceError


def test_the_position_comes_out_and_is_unknown_after_500_ms(tmp_path: Path) -> None:
    writer, reader = ContactWriter(tmp_path / "relay"), ContactReader(tmp_path / "relay")
    assert reader.is_closed(100.0) is None
    writer.report(True, 100.0)
    assert reader.is_closed(100.4) is True
    writer.report(False, 100.45)
    assert reader.is_closed(100.9) is False
    assert reader.is_closed(100.96) is None


def test_a_missing_file_is_unknown_and_found_when_it_comes(tmp_path: Path) -> None:
    reader = ContactReader(tmp_path / "relay")
    assert reader.is_closed(1.0) is None
    writer = ContactWriter(tmp_path / "relay")
    writer.report(True, 1.0)
    assert reader.is_closed(1.1) is True
    (tmp_path / "relay").unlink()
    assert reader.is_closed(1.1) is None
    writer.report(True, 1.2)
    assert reader.is_closed(1.2) is True


@pytest.mark.parametrize("content", [b"", b"x" * 1000, b"V2GCNTC\0", b"V2GBRKR\0" + b"\0" * 120])
def test_a_foreign_or_short_file_is_unknown_and_its_driver_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "relay"
    path.write_bytes(content)
    assert ContactReader(path).is_closed(1.0) is None
    with pytest.raises(DeviceError, match=f"contact {path}.*check relay.feedback_path"):
        ContactWriter(path)


def test_a_torn_or_impossible_position_is_unknown(tmp_path: Path) -> None:
    path = tmp_path / "relay"
    writer, reader = ContactWriter(path), ContactReader(path)
    writer.report(True, 1.0)
    whole = path.read_bytes()
    for cut in (64 + 32, 64 + 40, 64 + 48, 64 + 56):
        path.write_bytes(whole[:cut] + bytes([whole[cut] ^ 1]) + whole[cut + 1 :])
        assert reader.is_closed(1.0) is None
    body = struct.pack("<3Q", 9, 2, 1_000_000_000)
    path.write_bytes(whole[:96] + body + struct.pack("<Q", zlib.crc32(body) + 2**32))
    assert reader.is_closed(1.0) is None


def test_a_file_that_shrinks_under_the_reader_is_unknown(tmp_path: Path) -> None:
    writer, reader = ContactWriter(tmp_path / "relay"), ContactReader(tmp_path / "relay")
    writer.report(True, 1.0)
    assert reader.is_closed(1.0) is True
    os.truncate(tmp_path / "relay", 10)
    assert reader.is_closed(1.0) is None


def test_a_pipe_in_its_place_neither_blocks_nor_speaks(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "relay")
    assert ContactReader(tmp_path / "relay").is_closed(1.0) is None


def test_a_time_from_before_a_reboot_is_unknown(tmp_path: Path) -> None:
    writer, reader = ContactWriter(tmp_path / "relay"), ContactReader(tmp_path / "relay")
    writer.report(True, 90_000.0)
    assert reader.is_closed(12.0) is None
