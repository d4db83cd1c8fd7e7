from __future__ import annotations

import contextlib
import shutil
import struct
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from v2g.replay.comtrade_file import read_comtrade
from v2g.replay.csv_file import read_csv
from v2g.replay.record import ReadOptions
from v2g.replay.stimulus import ReplayError
from v2g.replay.synthesis import V_BUS

RATE_HZ = 4000
N = 1600
PLAIN = ReadOptions()
VOLTS = 325.27 * np.sin(2 * np.pi * 60.0 * np.arange(N)[:, None] / RATE_HZ + np.array([0.0, -2.0, 2.0]) * np.pi / 3)


def channel(number: int, name: str, phase: str, unit: str = "V", ratio: str = "1,1,P", factor: float = 0.02) -> str:
    return f"{number},{name},{phase},bus,{unit},{factor},0.0,0.0,-32767,32767,{ratio}"


def write(
    directory: Path,
    channels: list[str],
    columns: np.ndarray,
    *,
    encoding: str = "utf-8",
    rates: str = f"1\n{RATE_HZ},{N}",
    kind: str = "BINARY",
    frequency: str = "60",
) -> Path:
    """A recorder's pair of files; ``columns`` are counts."""
    lines = [
        "变电站,1,1999",
        f"{len(channels)},{len(channels)}A,0D",
        *channels,
        frequency,
        rates,
        "12/05/2023,19:45:25.000000",
        "12/05/2023,19:45:25.100000",
        kind,
        "1.0",
    ]
    (directory / "event.cfg").write_bytes(("\r\n".join("\r\n".join(lines).splitlines()) + "\r\n").encode(encoding))
    counts = np.rint(columns).astype(int)
    if kind == "BINARY":
        rows = [struct.pack(f"<II{counts.shape[1]}h", at + 1, at, *row) for at, row in enumerate(counts.tolist())]
        (directory / "event.dat").write_bytes(b"".join(rows))
    else:
        rows_text = [",".join(map(str, (at + 1, at, *row))) for at, row in enumerate(counts.tolist())]
        (directory / "event.dat").write_text("\n".join(rows_text) + "\n")
    return directory / "event.cfg"


def three(prefix: str = "母线U", **changes: object) -> list[str]:
    return [channel(at + 1, f"{prefix}{phase.lower()}", phase, **changes) for at, phase in enumerate("ABC")]


def volts(path: Path, options: ReadOptions = PLAIN) -> np.ndarray:
    (record,) = read_comtrade(path, options)
    return next(record.stimulus.blocks(100_000))[0][:, V_BUS]


@pytest.mark.parametrize("kind", ["BINARY", "ASCII"])
@pytest.mark.parametrize("encoding", ["utf-8", "gbk"])
def test_samples_come_back_in_volts_whatever_the_encoding(tmp_path: Path, kind: str, encoding: str) -> None:
    path = write(tmp_path, three(), VOLTS / 0.02, encoding=encoding, kind=kind)
    (record,) = read_comtrade(path, PLAIN)
    assert volts(path) == pytest.approx(VOLTS, abs=0.011)
    assert record.stimulus.sample_rate_hz == RATE_HZ
    assert record.stimulus.nominal_frequency_hz == 60.0
    assert record.stimulus.nominal_voltage_v == pytest.approx(230.0, rel=1e-2)
    assert "母线Ua, 母线Ub, 母线Uc" in record.remarks[0]
    assert any("the RMS before the event" in remark for remark in record.remarks)


def test_secondary_values_become_primary_volts_and_it_is_said(tmp_path: Path) -> None:
    path = write(tmp_path, three(ratio="11000,110,S"), VOLTS / 0.02)
    assert volts(path) == pytest.approx(VOLTS * 100.0, abs=1.1)
    (record,) = read_comtrade(path, PLAIN)
    assert any("times 100, the stated ratio" in remark for remark in record.remarks)


def test_kilovolts_and_names_without_a_phase_are_understood(tmp_path: Path) -> None:
    channels = [channel(at + 1, name, "", unit="kV", factor=2e-5) for at, name in enumerate(("VA", "V_L2", "VCN"))]
    assert volts(write(tmp_path, channels, VOLTS / 0.02)) == pytest.approx(VOLTS, abs=0.011)


def test_channels_are_chosen_by_name_or_number(tmp_path: Path) -> None:
    channels = [channel(1, "Ia", "A", unit="A"), *(channel(at + 2, f"X{at}", "", unit="V") for at in range(3))]
    path = write(tmp_path, channels, np.hstack((VOLTS[:, :1], VOLTS)) / 0.02)
    with pytest.raises(ReplayError, match="no three phase voltages among 1 Ia, 2 X0, 3 X1, 4 X2; name them with"):
        read_comtrade(path, PLAIN)
    assert volts(path, ReadOptions(channels=("X0", "3", "4"))) == pytest.approx(VOLTS, abs=0.011)
    with pytest.raises(ReplayError, match="no channel X9; it has 1 Ia"):
        read_comtrade(path, ReadOptions(channels=("X9", "3", "4")))
    with pytest.raises(ReplayError, match="channel Ia is in 'A', not V or kV"):
        read_comtrade(path, ReadOptions(channels=("Ia", "3", "4")))


def test_sections_that_are_too_slow_are_left_out_and_it_is_said(tmp_path: Path) -> None:
    path = write(tmp_path, three(), VOLTS / 0.02, rates=f"3\n{RATE_HZ},700\n50,800\n{RATE_HZ},1600")
    first, last = read_comtrade(path, PLAIN)
    assert (first.label, last.label) == ("section 1", "section 3")
    assert first.stimulus.nominal_voltage_v == last.stimulus.nominal_voltage_v
    assert last.offset_s == pytest.approx(700 / RATE_HZ + 2.0)
    assert np.array_equal(next(last.stimulus.blocks(10_000))[0][:, V_BUS][:1], volts_at(path, 800))
    assert "section 2 is left out: 100 samples at 50 Hz are not enough to estimate from" in first.remarks


def volts_at(path: Path, row: int) -> np.ndarray:
    counts = np.frombuffer(path.with_suffix(".dat").read_bytes(), "<i2").reshape(-1, 7)[row, 4:7]
    return counts[None, :] * 0.02


def test_broken_files_are_refused_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match="No such file"):
        read_comtrade(tmp_path / "none.cfg", PLAIN)
    path = write(tmp_path, three(), VOLTS / 0.02)
    whole = path.with_suffix(".dat").read_bytes()
    path.with_suffix(".dat").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ReplayError, match="its data ends before the 1600 samples it states"):
        read_comtrade(path, PLAIN)
    path.with_suffix(".dat").unlink()
    with pytest.raises(ReplayError, match="side by side"):
        read_comtrade(path, PLAIN)
    path.write_text("no comtrade at all\n")
    with pytest.raises(ReplayError, match=r"not COMTRADE as IEEE C37\.111 has it"):
        read_comtrade(path, PLAIN)


def test_a_record_that_is_too_slow_everywhere_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, three(), VOLTS / 0.02, rates=f"1\n1000,{N}")
    with pytest.raises(ReplayError, match=r"no section of at least 0\.1 s with 3200 samples a second"):
        read_comtrade(path, PLAIN)


def test_missing_samples_are_refused(tmp_path: Path) -> None:
    counts = VOLTS / 0.02
    counts[700, 1] = -32768
    with pytest.raises(ReplayError, match="sample 701 of 母线Ub is missing"):
        read_comtrade(write(tmp_path, three(), counts), PLAIN)


def test_the_data_file_may_be_named_instead_and_names_may_be_upper_case(tmp_path: Path) -> None:
    path = write(tmp_path, three(), VOLTS / 0.02)
    assert len(read_comtrade(path.with_suffix(".dat"), PLAIN)) == 1
    shutil.move(path, tmp_path / "event.CFG")
    shutil.move(path.with_suffix(".dat"), tmp_path / "event.DAT")
    assert len(read_comtrade(tmp_path / "event.CFG", PLAIN)) == 1


def test_the_single_file_form_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, three("U"), VOLTS / 0.02, kind="ASCII")
    parts = [("CFG", path.read_text()), ("INF", ""), ("HDR", ""), ("DAT ASCII", path.with_suffix(".dat").read_text())]
    single = tmp_path / "event.cff"
    single.write_text("".join(f"--- file type: {kind} ---\n{content}" for kind, content in parts))
    assert volts(single) == pytest.approx(VOLTS, abs=0.011)


@given(content=st.binary(max_size=400), at=st.integers(0, 400))
@settings(max_examples=examples(40), deadline=None)
def test_whatever_a_configuration_file_holds_only_a_declared_error_comes_out(content: bytes, at: int) -> None:
    with TemporaryDirectory() as place:
        path = write(Path(place), three(), VOLTS / 0.02)
        whole = path.read_bytes()
        path.write_bytes(whole[:at] + content + whole[at + len(content) :])
        with contextlib.suppress(ReplayError):
            read_comtrade(path, PLAIN)


def test_the_recorded_file_holds_what_its_csv_holds(shared_data: Path) -> None:
    events = shared_data / "grid/events"
    records = read_comtrade(events / "xtz.cfg", ReadOptions(nominal_voltage_v=127_017.0))
    assert [record.label for record in records] == ["section 1", "section 3"]
    for record, name in zip(records, ("seg0", "seg2"), strict=True):
        same = read_csv(events / f"pow_xtz_220kV_busI_{name}_3200Hz.csv", ReadOptions(nominal_voltage_v=127_017.0))
        recorded, listed = (next(r.stimulus.blocks(10_000))[0][:, V_BUS] / 127_017.0 for r in (record, same))
        assert recorded == pytest.approx(listed, abs=2e-5)
        assert record.stimulus.sample_rate_hz == same.stimulus.sample_rate_hz == 3200.0
        assert record.stimulus.nominal_frequency_hz == same.stimulus.nominal_frequency_hz == 50.0
