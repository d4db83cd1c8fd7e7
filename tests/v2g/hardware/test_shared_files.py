"""Waveform buffer and breaker output: files shared by processes that come and go."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from v2g.hardware.breaker import HOLD_TIMEOUT_S, MmapBreakerDevice, MmapBreakerOutput
from v2g.hardware.ports import DeviceError
from v2g.hardware.shared_record import RECORD_BYTES, SharedRecord
from v2g.hardware.waveform import CHANNELS, WaveformError, WaveformReader, WaveformWriter

SCALES = dict.fromkeys(CHANNELS, 0.01)


def ramp(start: int, count: int) -> np.ndarray:
    return np.arange(start, start + count)[:, None] * 0.01 + np.arange(len(CHANNELS))[None, :] * 1000.0


def writer_at(path: Path, capacity: int = 512) -> WaveformWriter:
    return WaveformWriter.create(path, 4800, SCALES, capacity)


class TestWaveform:
    def test_the_newest_samples_come_out_in_volts_and_amperes(self, tmp_path: Path) -> None:
        writer = writer_at(tmp_path / "waveform")
        writer.write(ramp(0, 100), 5.25)
        reader = WaveformReader(tmp_path / "waveform")
        window = reader.latest(40)
        assert window.samples == pytest.approx(ramp(60, 40))
        assert (window.last_index, window.as_of_s) == (100, 5.25)
        assert (reader.sample_rate_hz, reader.capacity) == (4800, 512)

    def test_it_wraps_without_a_seam(self, tmp_path: Path) -> None:
        writer = writer_at(tmp_path / "waveform")
        reader = WaveformReader(tmp_path / "waveform")
        for block in range(100):
            writer.write(ramp(block * 37, 37), block * 0.01)
            if block > 7:
                window = reader.latest(256)
                last = (block + 1) * 37
                assert window.last_index == last
                assert np.allclose(window.samples, ramp(last - 256, 256))

    def test_samples_that_were_not_taken_stay_so_and_large_ones_are_clipped(self, tmp_path: Path) -> None:
        writer = writer_at(tmp_path / "waveform")
        rows = ramp(0, 3)
        rows[1, 4], rows[2, 0], rows[2, 1] = np.nan, np.inf, 1e12
        writer.write(rows, 1.0)
        samples = WaveformReader(tmp_path / "waveform").latest(3).samples
        assert np.isnan(samples[1, 4])
        assert np.isnan(samples[2, 0])
        assert samples[2, 1] == pytest.approx((2**31 - 1) * 0.01)

    def test_a_buffer_that_is_not_yet_filled_says_so(self, tmp_path: Path) -> None:
        writer = writer_at(tmp_path / "waveform")
        reader = WaveformReader(tmp_path / "waveform")
        with pytest.raises(WaveformError, match="0 samples so far, 10 needed; is the sampling process running"):
            reader.latest(10)
        writer.write(ramp(0, 9), 1.0)
        with pytest.raises(WaveformError, match="9 samples so far"):
            reader.latest(10)

    def test_a_reader_follows_a_writer_that_starts_anew(self, tmp_path: Path) -> None:
        writer_at(tmp_path / "waveform").write(ramp(0, 200), 1.0)
        reader = WaveformReader(tmp_path / "waveform")
        assert reader.latest(10).last_index == 200
        writer_at(tmp_path / "waveform", capacity=1024).write(ramp(0, 20), 9.0)
        assert reader.latest(10)[1:] == (20, 9.0)
        assert reader.capacity == 1024

    def test_a_file_that_vanishes_is_told_and_found_again(self, tmp_path: Path) -> None:
        path = tmp_path / "waveform"
        writer_at(path).write(ramp(0, 20), 1.0)
        reader = WaveformReader(path)
        path.unlink()
        for _ in range(2):
            with pytest.raises(WaveformError, match="No such file"):
                reader.latest(10)
        writer_at(path).write(ramp(0, 20), 2.0)
        assert reader.latest(10).as_of_s == 2.0

    def test_the_time_of_a_dead_writer_stands_still(self, tmp_path: Path) -> None:
        writer = writer_at(tmp_path / "waveform")
        writer.write(ramp(0, 20), 3.0)
        writer.close()
        assert WaveformReader(tmp_path / "waveform").latest(5).as_of_s == 3.0

    @pytest.mark.parametrize(
        ("at", "data", "said"),
        [
            (0, b"NOTAWAVE", "not a waveform buffer"),
            (8, b"\x09\0\0\0", "version 1"),
            (16, b"\0\0\0\0", "contradicts itself"),
            (20, b"\xff\xff\xff\x7f", "contradicts itself"),
            (64, b"v_foo\0", "its channels are v_foo"),
            (64 + 16 * len(CHANNELS), b"\0" * 8, "a scale is not above zero"),
        ],
    )
    def test_another_kind_of_file_is_refused(self, tmp_path: Path, at: int, data: bytes, said: str) -> None:
        path = tmp_path / "waveform"
        writer_at(path)
        with path.open("r+b") as file:
            file.seek(at)
            file.write(data)
        with pytest.raises(WaveformError, match=said) as caught:
            WaveformReader(path)
        assert str(path) in str(caught.value)

    def test_a_short_file_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "waveform"
        writer_at(path)
        os.truncate(path, 5000)
        with pytest.raises(WaveformError, match="5000 bytes"):
            WaveformReader(path)
        path.write_bytes(b"")
        with pytest.raises(WaveformError, match="0 bytes"):
            WaveformReader(path)

    def test_what_is_overwritten_while_it_is_read_is_not_returned(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        writer = writer_at(tmp_path / "waveform", capacity=256)
        writer.write(ramp(0, 128), 1.0)
        reader = WaveformReader(tmp_path / "waveform")
        concatenate = np.concatenate
        written = 128

        def slow(parts: tuple[np.ndarray, ...]) -> np.ndarray:
            nonlocal written
            for _ in range(2):
                writer.write(ramp(written, 128), 2.0)
                written += 128
            return concatenate(parts)

        monkeypatch.setattr(np, "concatenate", slow)
        with pytest.raises(WaveformError, match="overwritten while read"):
            reader.latest(100)
        monkeypatch.undo()
        assert reader.latest(100).samples == pytest.approx(ramp(written - 100, 100))

    def test_wrong_use_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "waveform"
        with pytest.raises(WaveformError, match=r"no usable scale .* i_v2g_c"):
            WaveformWriter.create(path, 4800, {**SCALES, "i_v2g_c": 0.0})
        with pytest.raises(WaveformError, match="capacity 3"):
            WaveformWriter.create(path, 4800, SCALES, 3)
        writer = writer_at(path)
        with pytest.raises(WaveformError, match=r"shape \(5, 3\)"):
            writer.write(np.zeros((5, 3)), 1.0)
        with pytest.raises(WaveformError, match="257 samples asked"):
            WaveformReader(path).latest(257)
        with pytest.raises(WaveformError, match=r"check waveform\.buffer_path"):
            writer_at(tmp_path / "no" / "waveform")

    def test_a_reader_in_another_process_never_sees_a_mixture(self, tmp_path: Path) -> None:
        path = tmp_path / "waveform"
        writer_at(path, capacity=256).write(ramp(0, 64), 0.0)
        script = (
            "import sys, numpy as np\nfrom pathlib import Path\n"
            "from v2g.hardware.waveform import *\n"
            "w = WaveformWriter.create(Path(sys.argv[1]), 4800, dict.fromkeys(CHANNELS, 1.0), 256)\n"
            "print('up', flush=True)\n"
            "n = 0\n"
            "while True:\n"
            "    w.write(np.repeat(np.arange(n, n + 16)[:, None], len(CHANNELS), 1), n + 16)\n"
            "    n += 16\n"
        )
        child = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE)
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == b"up\n"
            reader = WaveformReader(path)
            seen = torn = 0
            while seen < 400 and torn < 100_000:
                try:
                    window = reader.latest(48)
                except WaveformError:
                    torn += 1
                    continue
                seen += 1
                expected = np.arange(window.last_index - 48, window.last_index)
                assert (window.samples == expected[:, None]).all()
                assert window.as_of_s == window.last_index
            assert seen == 400
        finally:
            child.kill()
            child.wait()
            child.stdout.close() if child.stdout else None


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
        with pytest.raises(DeviceError, match="not a breaker file of version 1; remove it"):
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
