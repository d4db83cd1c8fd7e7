"""Breaker output and shared records: files shared by processes that come and go."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from v2g.hardware.breaker import HOLD_TIMEOUT_S, MmapBreakerDevice, MmapBreakerOutput
from v2g.hardware.ports import DeviceError
from v2g.hardware.shared_record import RECORD_BYTES, SharedRecord


class TestBreaker:
    def test_held_while_it_is_refreshed_and_open_after_500_ms(self, tmp_path: Path) -> None:
        output, device = MmapBreakerOutput(tmp_path / "breaker"), MmapBreakerDevice(tmp_path / "breaker")
        assert device.commanded(100.0) is False
        output.hold(True, 100.0)
        assert device.commanded(100.0 + HOLD_TIMEOUT_S - 0.001) is True
        assert device.commanded(100.0 + HOLD_TIMEOUT_S + 0.001) is False
        output.hold(True, 100.6)
        assert device.commanded(100.7) is True
        output.hold(False, 100.7)
        assert device.commanded(100.7) is False

    def test_the_position_is_unknown_before_and_500_ms_after_a_report(self, tmp_path: Path) -> None:
        output, device = MmapBreakerOutput(tmp_path / "breaker"), MmapBreakerDevice(tmp_path / "breaker")
        assert output.is_closed(100.0) is None
        device.report(True, 100.0)
        assert output.is_closed(100.4) is True
        device.report(False, 100.4)
        assert output.is_closed(100.5) is False
        assert output.is_closed(101.0) is None

    def test_a_time_from_before_a_reboot_is_not_fresh(self, tmp_path: Path) -> None:
        output, device = MmapBreakerOutput(tmp_path / "breaker"), MmapBreakerDevice(tmp_path / "breaker")
        output.hold(True, 90_000.0)
        device.report(True, 90_000.0)
        assert device.commanded(12.0) is False
        assert output.is_closed(12.0) is None

    def test_either_side_may_start_first_and_again(self, tmp_path: Path) -> None:
        device = MmapBreakerDevice(tmp_path / "breaker")
        MmapBreakerOutput(tmp_path / "breaker").hold(True, 1.0)
        assert device.commanded(1.0)
        MmapBreakerOutput(tmp_path / "breaker").hold(True, 2.0)
        assert device.commanded(2.2)
        assert MmapBreakerDevice(tmp_path / "breaker").commanded(2.2)

    def test_a_file_that_somebody_removed_is_made_again(self, tmp_path: Path) -> None:
        output, device = MmapBreakerOutput(tmp_path / "breaker"), MmapBreakerDevice(tmp_path / "breaker")
        output.hold(True, 1.0)
        (tmp_path / "breaker").unlink()
        assert device.commanded(1.0) is False
        output.hold(True, 1.1)
        assert device.commanded(1.1) is True

    def test_another_file_is_refused_with_a_remedy(self, tmp_path: Path) -> None:
        (tmp_path / "breaker").write_bytes(b"x" * 1000)
        with pytest.raises(DeviceError, match=r"is not one of version 2; check breaker\.output_path, remove the file"):
            MmapBreakerOutput(tmp_path / "breaker")
        (tmp_path / "breaker").write_bytes(b"")
        with pytest.raises(DeviceError, match=r"check breaker\.output_path"):
            MmapBreakerOutput(tmp_path / "breaker")
        with pytest.raises(DeviceError, match="No such file"):
            MmapBreakerDevice(tmp_path / "no" / "breaker")

    def test_a_guard_that_is_stopped_lets_the_breaker_open(self, tmp_path: Path) -> None:
        path = tmp_path / "breaker"
        script = (
            "import sys, time\nfrom pathlib import Path\nfrom v2g.hardware.breaker import *\n"
            "output = MmapBreakerOutput(Path(sys.argv[1]))\n"
            "while True:\n    output.hold(True, time.monotonic())\n"
            "    print(time.monotonic(), flush=True)\n    time.sleep(0.01)\n"
        )
        child = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE)
        try:
            assert child.stdout is not None
            for _ in range(20):
                held_s = float(child.stdout.readline())
            device = MmapBreakerDevice(path)
            assert device.commanded(held_s)
            child.send_signal(signal.SIGSTOP)
            last_s = held_s + 60.0
            assert device.commanded(last_s) is False
        finally:
            child.kill()
            child.wait()
            child.stdout.close() if child.stdout else None


def test_a_record_survives_a_writer_that_dies_in_the_middle() -> None:
    import mmap

    memory = mmap.mmap(-1, 4096)
    record = SharedRecord(memory, 64)
    assert record.read() is None
    record.write(1, 2)
    record.write(3, 4)
    whole = memory[64 : 64 + RECORD_BYTES]
    record.write(5, 6)
    after = memory[64 : 64 + RECORD_BYTES]
    changed = [i for i in range(RECORD_BYTES) if whole[i] != after[i]]
    assert changed
    for cut in changed[:-1]:
        memory[64 : 64 + RECORD_BYTES] = after[: cut + 1] + whole[cut + 1 :]
        assert SharedRecord(memory, 64).read() in ((3, 4), (5, 6))
