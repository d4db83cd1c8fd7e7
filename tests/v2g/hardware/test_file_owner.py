"""Files shared with others of one directory: whose may be trusted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from v2g.guard.status import GuardStatus, Permit
from v2g.guard.status_block import StatusBlockError, StatusReader, StatusWriter
from v2g.hardware.breaker import MmapBreakerOutput
from v2g.hardware.contact import ContactReader, ContactWriter
from v2g.hardware.file_owner import require_trusted
from v2g.hardware.ports import DeviceError
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
class TestOthersFiles:
    def test_what_another_user_put_there_first_is_no_contact_and_no_waveform(self, tmp_path: Path) -> None:
        contact = ContactWriter(tmp_path / "contact")
        contact.report(True, 1.0)
        contact.close()
        assert ContactReader(tmp_path / "contact").is_closed(1.0) is True
        for name in ("contact", "waveform"):
            (tmp_path / name).touch()
            os.chown(tmp_path / name, STRANGER, -1)
        assert ContactReader(tmp_path / "contact").is_closed(1.0) is None
        with pytest.raises(WaveformError, match="it belongs to user 54321"):
            WaveformReader(tmp_path / "waveform")

    def test_nor_is_it_the_status_of_the_guard(self, tmp_path: Path) -> None:
        status = GuardStatus(as_of_s=1.0, permit=Permit.GRANTED, breaker_commanded_closed=True, breaker_closed=True)
        writer = StatusWriter(tmp_path / "status")
        writer.publish(status)
        writer.close()
        assert StatusReader(tmp_path / "status").read(1.0).permit is Permit.GRANTED
        os.chown(tmp_path / "status", STRANGER, -1)
        assert StatusReader(tmp_path / "status").read(1.0).permit is Permit.GUARD_STALE

    def test_who_owns_the_directory_takes_it_away_and_starts(self, tmp_path: Path) -> None:
        """Files of the one user there was before, too: an update without a reboot."""
        for name in ("breaker", "status", f".breaker.{os.getpid()}"):
            (tmp_path / name).write_bytes(b"theirs")
            (tmp_path / name).chmod(0o666)
            os.chown(tmp_path / name, STRANGER, -1)
        MmapBreakerOutput(tmp_path / "breaker").close()
        StatusWriter(tmp_path / "status").close()
        assert [(tmp_path / name).stat().st_uid for name in ("breaker", "status")] == [0, 0]

    def test_in_somebody_elses_directory_nothing_is_taken_away(self, tmp_path: Path) -> None:
        os.chown(tmp_path, STRANGER + 1, -1)
        for name in ("breaker", "status"):
            (tmp_path / name).touch()
            os.chown(tmp_path / name, STRANGER, -1)
        with pytest.raises(DeviceError, match=r"breaker: it belongs to user 54321"):
            MmapBreakerOutput(tmp_path / "breaker")
        with pytest.raises(StatusBlockError, match=r"status cannot be used: it belongs to user 54321"):
            StatusWriter(tmp_path / "status")
        assert (tmp_path / "breaker").stat().st_uid == STRANGER
