from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from v2g.replay.csv_file import read_csv
from v2g.replay.record import ReadOptions
from v2g.replay.stimulus import ReplayError

Write = Callable[[str], Path]
PLAIN = ReadOptions()


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def make(text: str) -> Path:
        path = tmp_path / "event.csv"
        path.write_text(text)
        return path

    return make


def sine(n: int = 800, rate_hz: float = 4000.0, hz: float = 60.0, peak: float = 1.0, header: str = "") -> str:
    lines = [header or "t_s,va_pu,vb_pu,vc_pu"]
    for at in range(n):
        angle = 2 * np.pi * hz * at / rate_hz + np.array([0, -2, 2]) * np.pi / 3
        lines.append(f"{at / rate_hz:.6f}," + ",".join(f"{v:.6f}" for v in peak * np.sin(angle)))
    return "\n".join(lines) + "\n"


def first_block(path: Path, options: ReadOptions = PLAIN) -> np.ndarray:
    return next(read_csv(path, options).stimulus.blocks(100_000))[0]


def test_samples_in_pu_are_of_the_nominal_peak(write: Write) -> None:
    path = write(sine())
    record = read_csv(path, PLAIN)
    assert record.stimulus.sample_rate_hz == 4000.0
    assert record.stimulus.nominal_frequency_hz == 60.0
    rms = np.sqrt(np.mean(first_block(path)[:, 0] ** 2))
    assert rms == pytest.approx(record.stimulus.nominal_voltage_v, rel=1e-3)
    assert any("nominal peak" in remark for remark in record.remarks)


def test_samples_in_volts_take_their_nominal_from_before_the_event_and_say_so(write: Write) -> None:
    path = write(sine(peak=325.27, hz=50.0, header="t_s,va_v,vb_v,vc_v"))
    record = read_csv(path, PLAIN)
    assert record.stimulus.nominal_voltage_v == pytest.approx(230.0, rel=1e-3)
    assert record.stimulus.nominal_frequency_hz == 50.0
    assert any("the RMS before the event" in remark for remark in record.remarks)
    assert read_csv(path, ReadOptions(nominal_voltage_v=240.0)).stimulus.nominal_voltage_v == 240.0


def test_kilovolts_are_volts_times_a_thousand(write: Write) -> None:
    path = write(sine(peak=10.0, header="time_s,u_l1_kv,u_l2_kv,u_l3_kv"))
    assert np.abs(first_block(path)[:, 0]).max() == pytest.approx(10_000.0, rel=1e-3)


def test_channels_choose_among_more_columns(write: Write) -> None:
    text = "t_s,va_pu,vb_pu,vc_pu,x_pu,y_pu,z_pu\n" + "".join(
        f"{at / 4000:.6f},1,1,1,{np.sin(at / 10):.5f},{np.cos(at / 10):.5f},0.5\n" for at in range(800)
    )
    options = ReadOptions(channels=("y_pu", "x_pu", "z_pu"), nominal_frequency_hz=60.0, nominal_voltage_v=100.0)
    assert first_block(write(text), options)[0, 0:3] == pytest.approx([141.42, 0.0, 70.71], abs=0.01)
    with pytest.raises(ReplayError, match="line 1: no column q; it has t_s, va_pu"):
        read_csv(write(text), ReadOptions(channels=("q", "x_pu", "z_pu")))


def test_rounded_times_still_give_the_rate(write: Write) -> None:
    assert read_csv(write(sine(rate_hz=3200.0)), PLAIN).stimulus.sample_rate_hz == 3200.0


SLOW = "timestamp_cest,t_s,freq_hz,v_l1_pu,v_l2_pu,v_l3_pu\n"


def test_a_slow_record_knows_when_it_began_and_that_it_is_made_again(write: Write) -> None:
    record = read_csv(
        write(
            SLOW
            + "2025-04-28T12:00:00+02:00,0,50.01,1,1,1\n"
            + "2025-04-28T12:00:02+02:00,2,nan,nan,nan,nan\n"
            + "2025-04-28T12:00:04+02:00,4,49.99,0.9,0.9,0.9\n"
        ),
        PLAIN,
    )
    assert record.begins == datetime.fromisoformat("2025-04-28T12:00:00+02:00")
    assert record.stimulus.nominal_frequency_hz == 50.0
    assert record.stimulus.duration_s == 4.0
    assert any("1 rows hold nothing" in remark for remark in record.remarks)
    assert any("made again" in remark for remark in record.remarks)


def test_a_frequency_may_be_missing_beside_a_dead_line_only(write: Write) -> None:
    rows = "a,0,50,1,1,1\nb,2,{},{v},{v},{v}\nc,4,50,1,1,1\n"
    assert read_csv(write(SLOW + rows.format("", v=0.01)), PLAIN).stimulus.duration_s == 4.0
    with pytest.raises(ReplayError, match="no frequency at t_s 2 beside a live voltage"):
        read_csv(write(SLOW + rows.format("", v=0.9)), PLAIN)


def test_a_part_keeps_the_time_of_the_file(write: Write) -> None:
    rows = "".join(f"2025-04-28T12:00:{at:02d}+02:00,{100 + at},50,1,1,1\n" for at in range(0, 20, 2))
    part = read_csv(write(SLOW + rows), PLAIN).cut(106.0, 110.0)
    assert part.offset_s == 106.0
    assert part.begins == datetime.fromisoformat("2025-04-28T12:00:06+02:00")
    assert part.stimulus.duration_s == 4.0
    with pytest.raises(ReplayError, match="widen --from and --to"):
        part.cut(200.0, 300.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: no column t_s; wanted are"),
        ("time,va_pu,vb_pu,vc_pu\n", "line 1: no column t_s"),
        ("t_s,va_pu,vb_pu\n0,1,1\n", "line 1: no three phase voltages among t_s, va_pu, vb_pu"),
        ("t_s,va_pu,vb_pu,vc_v\n0,1,1,1\n", "do not say one unit"),
        ("t_s,va_pu,vb_pu,vc_pu\n0,1,1,1\n", "1 rows; an event needs at least 2"),
        ("t_s,va_pu,vb_pu,vc_pu\n0,1,1,1\n0.001,1,1\n", "line 3: 3 fields, the header has 4"),
        ("t_s,va_pu,vb_pu,vc_pu\n0,1,1,1\n0.001,1,x,1\n", "line 3, vb_pu: 'x' is not a number"),
        ("t_s,va_pu,vb_pu,vc_pu\n0,1,1,1\n0.001,1,nan,1\n", "line 3, vb_pu: 'nan' is not a number"),
        ("t_s,va_pu,vb_pu,vc_pu\n1,1,1,1\n0.5,1,1,1\n", "line 3: t_s 0.5 does not come after 1"),
        ("t_s,va_pu,vb_pu,vc_pu\n0,1,1,1\n0.001,1,1,1\n0.003,1,1,1\n", "line 3: samples are not evenly spaced"),
        (sine(rate_hz=1000.0), "1000 samples a second; the guard's estimator works with 3200 to 20000"),
        (sine(hz=400.0), "no 50 or 60 Hz"),
        (sine(peak=0.0, header="t_s,va_v,vb_v,vc_v"), "no 50 or 60 Hz"),
        (SLOW + "a,0,50,1,1,1\nb,2,50,-1,1,1\n", "a negative voltage at t_s 2"),
        (SLOW + "a,0,50,1,1,1\nb,2,50,nan,1,1\n", "line 3, v_l1_pu: 'nan' is not a number"),
        (SLOW + "a,0,50,1,1,1\nb,2000,50,1,1,1\n", "line 3: nothing for 2000 s before it"),
    ],
)
def test_a_broken_file_names_line_and_remedy(write: Write, text: str, said: str) -> None:
    path = write(text)
    with pytest.raises(ReplayError) as raised:
        read_csv(path, PLAIN)
    assert str(raised.value).startswith(str(path))
    assert said in str(raised.value)


@given(text=st.text(alphabet='0123456789.,-+eainvtfspu_hz\n "', max_size=200), slow=st.booleans())
@settings(max_examples=examples(40), deadline=None)
def test_whatever_a_file_holds_only_a_declared_error_comes_out(text: str, slow: bool) -> None:
    with TemporaryDirectory() as place:
        path = Path(place) / "event.csv"
        path.write_text((SLOW if slow else "t_s,va_pu,vb_pu,vc_pu\n") + "0,1,1,1\n" + text)
        with contextlib.suppress(ReplayError):
            read_csv(path, PLAIN)


def test_the_iberian_record_is_read(shared_data: Path) -> None:
    record = read_csv(shared_data / "grid/events/iberia_2025-04-28_toledo_2s.csv", PLAIN)
    assert record.stimulus.duration_s == 7198.0
    assert any("10 rows hold nothing" in remark for remark in record.remarks)
