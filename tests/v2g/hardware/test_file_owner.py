"""Files shared with others of one directory: whose may be trusted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from v2g.hardware.breaker import MmapBreakerOutput
from v2g.hardware.contact import ContactReader, ContactWriter
from v2g.hardware.ports import DeviceError
from v2g.hardware.shared_record import require_trusted
from v2g.hardware.waveform import WaveformError, WaveformReader

STRANGER = 54_321


def of_user(path: Path, uid: int) -> os.stat_result:
    path.touch()
    fields = list(path.stat())
    fields[4] = uid
    return os.stat_result(fields)


@pytest.mark.parametrize("whose", ["root", "this process", "the directory's owner"])
def test_a_file_of_root_of_ours_or_of_the_owner_of_its_directory_is_trusted(tmp_path: Path, whose: str) -> None:
    uid = {"root": 0, "this process": os.geteuid(), "the directory's owner": tmp_path.stat().st_uid}[whose]
    require_trusted(tmp_path / "breaker", of_user(tmp_path / "breaker", uid))


def test_a_file_of_another_user_is_not_and_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"user 54321, who is neither root nor .*: remove it"):
        require_trusted(tmp_path / "breaker", of_user(tmp_path / "breaker", STRANGER))


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user: needs root")
def test_what_another_user_put_there_first_is_no_breaker_no_contact_and_no_waveform(tmp_path: Path) -> None:
    output = MmapBreakerOutput(tmp_path / "breaker")
    output.hold(True, 1.0)
    output.close()
    contact = ContactWriter(tmp_path / "contact")
    contact.report(True, 1.0)
    contact.close()
    (tmp_path / "waveform").touch()
    assert ContactReader(tmp_path / "contact").is_closed(1.0) is True
    for name in ("breaker", "contact", "waveform"):
        os.chown(tmp_path / name, STRANGER, -1)
    with pytest.raises(DeviceError, match=r"breaker: it belongs to user 54321"):
        MmapBreakerOutput(tmp_path / "breaker")
    assert ContactReader(tmp_path / "contact").is_closed(1.0) is None
    with pytest.raises(WaveformError, match="it belongs to user 54321"):
        WaveformReader(tmp_path / "waveform")
