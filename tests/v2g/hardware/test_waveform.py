"""The waveform buffer: what a writer puts into it comes out, or an error that names what is wrong."""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import signal
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from v2g.hardware.sample_clock import SampleClock
from v2g.hardware.waveform import CHANNELS, WaveformError, WaveformReader, WaveformWindow, WaveformWriter, WriterGone

SCALES = dict.fromkeys(CHANNELS, 0.01)


def ramp(start: int, count: int) -> np.ndarray:
    return np.arange(start, start + count)[:, None] * 0.01 + np.arange(len(CHANNELS))[None, :] * 1000.0


def writer_at(path: Path, capacity: int = 512) -> WaveformWriter:
    return WaveformWriter.create(path, 4800, SCALES, capacity)


class TestSamples:
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
        first = writer_at(tmp_path / "waveform")
        first.write(ramp(0, 200), 1.0)
        reader = WaveformReader(tmp_path / "waveform")
        before = reader.latest(10)
        assert before.last_index == 200
        first.close()
        second = writer_at(tmp_path / "waveform", capacity=1024)
        second.write(ramp(0, 20), 9.0)
        after = reader.latest(10)
        assert after[1:3] == (20, 9.0)
        assert after.generation > before.generation
        assert reader.capacity == 1024

    def test_a_file_that_vanishes_is_told_and_found_again(self, tmp_path: Path) -> None:
        path = tmp_path / "waveform"
        first = writer_at(path)
        first.write(ramp(0, 20), 1.0)
        reader = WaveformReader(path)
        path.unlink()
        for _ in range(2):
            with pytest.raises(WaveformError, match="No such file"):
                reader.latest(10)
        second = writer_at(path)
        second.write(ramp(0, 20), 2.0)
        assert reader.latest(10).as_of_s == 2.0

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
        with pytest.raises(WaveformError, match=r"the scale of i_v2g_c is 0; it must be above 0"):
            WaveformWriter.create(path, 4800, {**SCALES, "i_v2g_c": 0.0})
        with pytest.raises(WaveformError, match="its capacity is 3 samples"):
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


def damaged(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


class TestOtherFiles:
    @pytest.mark.parametrize(
        ("at", "data", "said"),
        [
            (0, b"NOTAWAVE", "it is not a waveform buffer"),
            (8, b"\x01\0\0\0", "it has version 1; version 2 is needed"),
            (12, b"\0\0\0\0", "its ring begins at 0"),
            (16, b"\0\0\0\0", "its sample rate is 0 Hz"),
            (16, b"\0\0\0\x7f", "its sample rate is 2130706432 Hz"),
            (20, b"\xff\xff\xff\x7f", "its capacity is 2147483647 samples"),
            (24, b"\x0b\0\0\0", "it has 11 channels; 12..64"),
            (24, b"\xff\xff\xff\xff", "it has 0 channels"),
            (64, b"v_foo\0\0", "it has no channel v_bus_a; there are v_foo, v_bus_b"),
            (64 + 40, b"v_bus_a", "channel v_bus_a is there twice"),
            (64, b"\xff\0", "1 to 24 printable ASCII"),
            (64 + 24, b"\0" * 8, "the scale of v_bus_a is 0"),
            (64 + 40 + 24, struct.pack("<d", float("nan")), "the scale of v_bus_b is nan"),
            (64 + 24, struct.pack("<d", -1.0), "the scale of v_bus_a is -1"),
            (64 + 32, b"\0\0\0\x80", "the full scale of v_bus_a is -2147483648 counts"),
        ],
    )
    def test_are_refused_with_what_is_wrong(self, tmp_path: Path, at: int, data: bytes, said: str) -> None:
        path = tmp_path / "waveform"
        writer = writer_at(path)
        damaged(path, at, data)
        with pytest.raises(WaveformError, match=said) as caught:
            WaveformReader(path)
        assert str(path) in str(caught.value)
        writer.close()

    def test_a_short_file_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "waveform"
        writer_at(path).close()
        os.truncate(path, 5000)
        with pytest.raises(WaveformError, match="5000 bytes"):
            WaveformReader(path)
        path.write_bytes(b"")
        with pytest.raises(WaveformError, match="not a waveform buffer"):
            WaveformReader(path)

    @settings(max_examples=examples(150), deadline=None)
    @given(head=st.binary(max_size=400), at=st.integers(0, 200) | st.integers(3000, 3200))
    def test_no_content_raises_anything_but_the_declared_error(self, tmp_path_factory, head: bytes, at: int) -> None:
        path = tmp_path_factory.mktemp("wave") / "waveform"
        writer = writer_at(path, capacity=256)
        writer.write(ramp(0, 60), 1.0)
        damaged(path, at, head)
        with contextlib.suppress(WaveformError):
            window = WaveformReader(path).latest(10)
            assert window.samples.shape == (10, len(CHANNELS))
        writer.close()


class TestChannels:
    def test_further_ones_are_read_by_name_and_the_standard_ones_in_their_order(self, tmp_path: Path) -> None:
        extra = ("v_e1_a", "v_e1_b")
        scales = SCALES | dict.fromkeys(extra, 0.5)
        writer = WaveformWriter.create(tmp_path / "waveform", 4800, scales, 512, extra)
        rows = np.hstack([ramp(0, 50), np.full((50, 1), 7.0), np.full((50, 1), -8.5)])
        writer.write(rows, 1.0)
        reader = WaveformReader(tmp_path / "waveform")
        assert reader.channels == CHANNELS + extra
        assert reader.latest(50).samples == pytest.approx(ramp(0, 50))
        assert reader.latest_of(("v_e1_b", "v_bus_a"), 2).samples == pytest.approx(
            np.array([[-8.5, 0.48], [-8.5, 0.49]])
        )

    def test_they_may_be_in_any_order_in_the_file(self, tmp_path: Path) -> None:
        path = tmp_path / "waveform"
        writer = writer_at(path)
        writer.write(ramp(0, 50), 1.0)
        for number, name in enumerate(reversed(CHANNELS)):
            damaged(path, 64 + 40 * number, name.encode().ljust(24, b"\0"))
        assert WaveformReader(path).latest(50).samples == pytest.approx(ramp(0, 50)[:, ::-1])

    def test_one_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        writer = writer_at(tmp_path / "waveform")
        writer.write(ramp(0, 50), 1.0)
        with pytest.raises(WaveformError, match=r"no channel v_e9_a; there are v_bus_a.*check voltage_channels"):
            WaveformReader(tmp_path / "waveform").latest_of(("v_bus_a", "v_e9_a"), 10)

    def test_a_scale_is_asked_for_each(self, tmp_path: Path) -> None:
        with pytest.raises(WaveformError, match="the scale of v_e1_a is 0"):
            WaveformWriter.create(tmp_path / "waveform", 4800, SCALES, extra=("v_e1_a",))
        with pytest.raises(WaveformError, match="65 channels"):
            WaveformWriter.create(tmp_path / "waveform", 4800, SCALES, extra=tuple(f"x{i}" for i in range(53)))

    def test_samples_saturate_at_the_full_scale_and_the_reader_knows_it(self, tmp_path: Path) -> None:
        writer = WaveformWriter.create(tmp_path / "waveform", 4800, SCALES, full_scale={"v_bus_b": 32767})
        rows = np.full((10, 12), 400.0)
        writer.write(rows, 1.0)
        reader = WaveformReader(tmp_path / "waveform")
        samples = reader.latest(10).samples
        assert samples[0, 1] == reader.full_scale[1] == 327.67
        assert samples[0, 0] == 400.0 < reader.full_scale[0]


OTHER_WRITER = """
import sys, time
from pathlib import Path
import numpy as np
from v2g.hardware.waveform import *
w = WaveformWriter.create(Path(sys.argv[1]), 4800, dict.fromkeys(CHANNELS, 1.0))
w.write(np.zeros((64, 12)), time.monotonic())
print("up", flush=True)
time.sleep(60)
"""


@pytest.fixture
def other_writer(tmp_path: Path):
    child = subprocess.Popen([sys.executable, "-c", OTHER_WRITER, str(tmp_path / "waveform")], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"up\n"
    yield child
    child.kill()
    child.wait()
    child.stdout.close()


class TestOneWriter:
    def test_a_second_one_is_refused_with_the_name_of_the_first(self, tmp_path: Path, other_writer) -> None:
        with pytest.raises(
            WaveformError, match=rf"process {other_writer.pid} \(python.*\) writes it; stop that one first"
        ):
            writer_at(tmp_path / "waveform")
        assert WaveformReader(tmp_path / "waveform").latest(64).last_index == 64

    def test_after_it_was_killed_the_next_read_says_so_and_another_may_write(
        self, tmp_path: Path, other_writer
    ) -> None:
        reader = WaveformReader(tmp_path / "waveform")
        reader.latest(64)
        other_writer.send_signal(signal.SIGKILL)
        killed_s = time.monotonic()
        other_writer.wait()
        with pytest.raises(WriterGone, match="its writer has ended; start the sampling process"):
            reader.latest(64)
        assert time.monotonic() - killed_s < 5.0
        writer = writer_at(tmp_path / "waveform")
        writer.write(ramp(0, 20), 1.0)
        assert reader.latest(20).last_index == 20

    def test_one_that_is_stopped_still_holds_the_buffer(self, tmp_path: Path, other_writer) -> None:
        reader = WaveformReader(tmp_path / "waveform")
        other_writer.send_signal(signal.SIGSTOP)
        assert reader.latest(64).last_index == 64
        with pytest.raises(WaveformError, match="writes it"):
            writer_at(tmp_path / "waveform")

    def test_one_that_closes_is_gone(self, tmp_path: Path) -> None:
        writer = writer_at(tmp_path / "waveform")
        writer.write(ramp(0, 20), 3.0)
        reader = WaveformReader(tmp_path / "waveform")
        writer.close()
        with pytest.raises(WriterGone):
            reader.latest(5)

    def test_a_driver_in_another_language_locks_as_the_documentation_says(self, tmp_path: Path) -> None:
        path = tmp_path / "waveform"
        writer_at(path).close()
        with path.open("r+b") as file:
            fcntl.fcntl(file, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))
            with mmap.mmap(file.fileno(), 0) as memory:
                memory[3072:3080] = (256).to_bytes(8, "little")
                memory[4096 : 4096 + 256 * 48] = b"".join(struct.pack("<12i", *[k] * 12) for k in range(256))
                body = struct.pack("<3Q", 1, 256, 77_000_000_000)
                memory[3136 + 32 : 3136 + 64] = body + struct.pack("<Q", zlib.crc32(body) + 2**32)
                window = WaveformReader(path).latest(2)
        assert window.samples == pytest.approx(np.array([[2.54] * 12, [2.55] * 12]))
        assert (window.last_index, window.as_of_s) == (256, 77.0)


RATE_HZ = 4000
WINDOW = np.zeros((200, 12))


def played(
    clock: SampleClock, steps: list[tuple[int, float]], generation: int = 1, now_s: float | None = None
) -> list[str]:
    return [
        clock.judge(WaveformWindow(WINDOW, index, at_s, generation), RATE_HZ, at_s if now_s is None else now_s)
        for index, at_s in steps
    ]


def steady(seconds: float, hz: float = RATE_HZ, index: int = 1000, at_s: float = 50.0) -> list[tuple[int, float]]:
    return [(index + round(k * 0.01 * hz), at_s + k * 0.01) for k in range(round(seconds * 100))]


class TestSampleClock:
    def test_a_steady_writer_is_believed_with_stamps_that_jitter(self) -> None:
        jitter = np.random.default_rng(1).uniform(0, 0.009, 3000).tolist()
        steps = [(index, at_s + late) for (index, at_s), late in zip(steady(30.0), jitter, strict=True)]
        assert not any(played(SampleClock(), steps))

    def test_lost_samples_are_no_measurement_until_a_whole_window_is_there(self) -> None:
        clock = SampleClock()
        played(clock, steady(1.0))
        said = played(clock, steady(1.0, index=5000, at_s=51.2))
        assert "jumps by 40 samples in 0.210 s" in said[0]
        assert all("a gap" in text for text in said[1:5])
        assert not any(said[5:])

    def test_two_writers_with_their_own_counts_are_never_believed(self) -> None:
        clock = SampleClock()
        both = [step for pair in zip(steady(1.0), steady(1.0, index=90, at_s=50.001), strict=True) for step in pair]
        said = played(clock, both)
        assert "two writers" in said[1]
        assert all(said[1:])

    def test_a_sequence_that_runs_backwards_is_said(self) -> None:
        clock = SampleClock()
        played(clock, steady(0.5))
        assert "backwards" in played(clock, [(900, 50.51)])[0]

    @pytest.mark.parametrize("hz", [RATE_HZ * 1.02, RATE_HZ * 0.98])
    def test_a_rate_that_is_two_percent_off_is_found_after_ten_seconds(self, hz: float) -> None:
        said = played(SampleClock(), steady(14.0, hz=hz))
        assert not any(said[:990])
        assert all("clock" in text and f"the buffer says {RATE_HZ}" in text for text in said[1150:])

    def test_half_a_percent_is_believed(self) -> None:
        assert not any(played(SampleClock(), steady(25.0, hz=RATE_HZ * 1.005)))

    def test_a_heartbeat_in_the_future_is_a_clock_error(self) -> None:
        assert (
            "clock: the newest samples are 3.000 s in the future" in played(SampleClock(), [(500, 53.0)], now_s=50.0)[0]
        )

    def test_a_new_buffer_begins_anew(self) -> None:
        clock = SampleClock()
        played(clock, steady(1.0))
        assert not any(played(clock, steady(1.0, index=200, at_s=58.0), generation=2))


class TestFactors:
    def test_samples_and_full_scale_are_corrected_where_they_enter(self, tmp_path: Path) -> None:
        writer = WaveformWriter.create(tmp_path / "waveform", 4800, SCALES, 512, full_scale={"v_bus_a": 50_000})
        reader = WaveformReader(tmp_path / "waveform", {"v_bus_a": (1.1, 0.5)})
        writer.write(ramp(0, 40), 1.0)
        truth = ramp(0, 40)
        truth[:, 0] = truth[:, 0] * 1.1 + 0.5
        assert reader.latest(40).samples == pytest.approx(truth)
        assert reader.latest_of(("i_tr_a", "v_bus_a"), 40).samples[:, 1] == pytest.approx(truth[:, 0])
        assert reader.full_scale[0] == pytest.approx(500.0 * 1.1 - 0.5)
        reader.correct({})
        assert reader.latest(40).samples == pytest.approx(ramp(0, 40))

    def test_a_channel_that_the_buffer_does_not_have_is_named_and_changes_nothing(self, tmp_path: Path) -> None:
        writer = writer_at(tmp_path / "waveform")
        reader = WaveformReader(tmp_path / "waveform", {"v_bus_a": (2.0, 0.0)})
        writer.write(ramp(0, 40), 1.0)
        with pytest.raises(WaveformError, match=r"no channel v_evse9_a; there are v_bus_a, v_bus_b.*sensor_map\.conf"):
            reader.correct({"v_evse9_a": (1.0, 0.0)})
        assert reader.latest(40).samples[:, 0] == pytest.approx(ramp(0, 40)[:, 0] * 2.0)
        with pytest.raises(WaveformError, match="no channel v_evse9_a"):
            WaveformReader(tmp_path / "waveform", {"v_evse9_a": (1.0, 0.0)})
