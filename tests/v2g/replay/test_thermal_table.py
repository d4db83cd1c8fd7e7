from __future__ import annotations

from pathlib import Path

import pytest

from v2g.replay.stimulus import ReplayError
from v2g.replay.thermal_checks import check
from v2g.replay.thermal_table import ThermalTable, read_table
from v2g.replay.thermal_transformer import read_transformer

HEAD = "t_min,ambient_C,K\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "load.csv"


def read(path: Path, text: str | bytes) -> ThermalTable:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_table(path)


def refusal(path: Path, text: str | bytes) -> str:
    with pytest.raises(ReplayError) as caught:
        read(path, text)
    return str(caught.value)


def checked(path: Path, text: str, more: str = "") -> tuple[str, ...]:
    transformer = path.with_name("tr.yaml")
    transformer.write_text(f"mode: ONAN\ndor_K: 55\ndhr_K: 23\nR: 5\nS_rated_kVA: 400\n{more}")
    return check(read(path, text), read_transformer(transformer))


def rows(count: int, step: float = 1.0, ambient: str = "20", k: str = "0.5") -> str:
    return HEAD + "".join(f"{n * step},{ambient},{k}\n" for n in range(count))


def test_columns_are_found_by_name_in_any_order_and_others_are_named(path: Path) -> None:
    table = read(path, "K,remark,ambient_C,t_min\n-0.5,a,20,0\n0.6,b,21,2.5\n")
    assert (list(table.t_min), list(table.ambient_c), list(table.k)) == ([0.0, 2.5], [20.0, 21.0], [-0.5, 0.6])
    assert table.remarks == ["columns not used: remark"]


@pytest.mark.parametrize(
    "text",
    [
        "\ufefft_min,ambient_C,K\r\n0,20.5,1\r\n\r\n1,21.5,1\r\n",
        "t_min;ambient_C;K\n0;20,5;1\n1;21,5;1\n",
        "t_min\tambient_C\tK\n0\t20,5\t1\n1\t21,5\t1\n",
        '"t_min", "ambient_c" ,k\n"0",20.5,1\n1,21.5,1\n\n',
    ],
    ids=["bom", "semicolons", "tabs", "quotes"],
)
def test_what_spreadsheets_write_is_read(path: Path, text: str) -> None:
    table = read(path, text)
    assert (list(table.t_min), list(table.ambient_c)) == ([0.0, 1.0], [20.5, 21.5])


def test_times_with_offset_pass_the_doubled_hour(path: Path) -> None:
    table = read(
        path,
        "time,ambient_C,K\n2026-10-25T02:30:00+02:00,5,1\n2026-10-25T02:00:00+01:00,5,1\n2026-10-25T01:30:00Z,5,1\n",
    )
    assert list(table.t_min) == [0.0, 30.0, 60.0]
    assert not table.naive_time


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD + "0,20,1\n1,,1\n", ["line 3, ambient_C: ''", "is empty", "take the row out"]),
        (HEAD + "0,20,1\n1,nan,1\n", ["line 3, ambient_C: 'nan'", "is no measurement"]),
        (HEAD + "0,20,inf\n", ["line 2, K: 'inf'", "is no measurement"]),
        (HEAD + "0,20,0.5 pu\n", ["line 2, K: '0.5 pu'", "without its unit"]),
        (HEAD + '0,"20,5",1\n', ["line 2, ambient_C: '20,5'", "point as decimal mark"]),
        (HEAD + "0,20,5,1\n", ["line 2: 4 fields, the header has 3 (a decimal comma?)"]),
        (HEAD + "0,20\n", ["line 2: 2 fields"]),
        (HEAD + "0,20,1\n2,20,1\n1,20,1\n", ["line 4, t_min: '1'", "1 min before", "sort"]),
        (HEAD + "0,20,1\n\n0,20,1\n", ["line 4, t_min: '0'", "there twice", "keep one"]),
        (HEAD + "1790000000,20,1\n", ["line 2, t_min", "Unix seconds?"]),
        (HEAD, ["no row below the header"]),
        ("", ["is empty", "wanted are t_min"]),
        ("t_s,ambient_C,K\n0,20,1\n", ["line 1: no column t_min", "divide seconds by 60"]),
        ("t_h,ambient_C,K\n0,20,1\n", ["multiply hours by 60"]),
        ("t_min,K\n0,1\n", ["no column ambient_C"]),
        ("t_min,ambient_K,K\n0,293,1\n", ["no column ambient_C", "subtract 273.15"]),
        ("t_min,ambient_C\n0,20\n", ["no column K or P_kW"]),
        ("t_min,ambient_C,P_W\n0,20,1\n", ["divide by 1000 and call it P_kW"]),
        ("t_min,ambient_C,K,P_kW,Q_kvar\n0,20,1,2,3\n", ["both there, and may contradict", "keep one"]),
        ("t_min,time,ambient_C,K\n0,2026-01-01,20,1\n", ["t_min and time are both there"]),
        ("t_min,ambient_C,ambient_c,K\n0,20,20,1\n", ["ambient_C is there twice"]),
        ("time,ambient_C,K\n25.10.2026 02:00,20,1\n", ["line 2, time", "is not ISO 8601", "+02:00"]),
        (
            "time,ambient_C,K\n2026-10-25T02:00,5,1\n2026-10-25T02:30,5,1\n2026-10-25T02:00,5,1\n",
            ["line 4, time: '2026-10-25T02:00'", "daylight saving ends", "with offset"],
        ),
        ("time,ambient_C,K\n2026-10-25T02:00,5,1\n2026-10-25T02:30Z,5,1\n", ["line 3", "offset in every row"]),
        ("t_min;ambient_C;K\n0;20,5;0.5\n", ["line 2, K: '0.5'", "has the decimal mark '.'"]),
        ("t_min;ambient_C;K\n0;1.020,5;1\n", ["line 2, ambient_C", "decimal mark"]),
        (b"\xff\xfet\0_\0", ["UTF-16", "UTF-8"]),
        (b"\x7fELF\x02\x01\x00\x00", ["is no text"]),
        (b"\x89PNG\r\n\x1a\nabc\xff", ["is not UTF-8"]),
        (HEAD.encode() + b"0,20,1\n1,\xb020,1\n", ["in or after line", "is not UTF-8"]),
        ("<html><body>not found</body></html>\n", ["no column t_min"]),
        (HEAD + '0,20,"' + "1" * 200_000 + '"\n', ["line 2", "plain CSV"]),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused_with_line_column_value_and_remedy(
    path: Path, text: str | bytes, said: list[str]
) -> None:
    told = refusal(path, text)
    assert told.startswith(str(path))
    assert all(part in told for part in said), told


def test_a_missing_file_is_told(path: Path) -> None:
    with pytest.raises(ReplayError, match="check the path"):
        read_table(path)


@pytest.mark.parametrize(
    ("text", "more", "said"),
    [
        (rows(2, ambient="293.15"), "", ["line 2, ambient_C: 293.15", "kelvin", "subtract 273.15"]),
        (rows(2, ambient="150"), "", ["line 2, ambient_C: 150", "°F?"]),
        (rows(2, k="85"), "", ["line 2, K: 85", "not %", "divide K by 100"]),
        (rows(20, step=900), "", ["column t_min", "900 min apart", "seconds?"]),
        (rows(20, k="0.0005"), "", ["column K", "never exceeds K = 0.0005"]),
        ("t_min,ambient_C,P_kW,Q_kvar\n0,20,200000,0\n", "", ["line 2, P_kW: 200000", "K = 500", "not W"]),
        ("t_min,ambient_C,P_kW,Q_kvar\n0,20,200,90000\n", "", ["line 2, Q_kvar: 90000", "not W"]),
        ("t_min,ambient_C,P_kW\n0,20,200\n", "", ["no column Q_kvar", "power_factor"]),
        ("t_min,ambient_C,K,F_HL\n0,20,1,0.05\n", "", ["line 2, F_HL: 0.05", "not THD"]),
    ],
)  # fmt: skip
def test_mixed_up_units_are_refused(path: Path, text: str, more: str, said: list[str]) -> None:
    with pytest.raises(ReplayError) as caught:
        checked(path, text, more)
    assert all(part in str(caught.value) for part in said), caught.value


def test_power_in_mw_against_a_rating_in_kva_is_refused(path: Path) -> None:
    body = "".join(f"{n},20,0.2,0.05\n" for n in range(20))
    with pytest.raises(ReplayError, match="P_kW in MW"):
        checked(path, "t_min,ambient_C,P_kW,Q_kvar\n" + body)


def test_power_without_a_rated_power_is_refused(path: Path) -> None:
    transformer = path.with_name("tr.yaml")
    transformer.write_text("mode: ONAN\ndor_K: 55\ndhr_K: 23\nR: 5\n")
    table = read(path, "t_min,ambient_C,P_kW,Q_kvar\n0,20,200,0\n")
    with pytest.raises(ReplayError, match="state S_rated_kVA"):
        check(table, read_transformer(transformer))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD + "0,20,1\n1,61,1\n2,20,1\n", "line 3: ambient goes from 20 to 61 °C; line 4: ambient goes"),
        (HEAD + "0,20,1\n1,20,1\n2,20,1\n200,20,1\n201,20,1\n", "line 5: nothing for 3.3 h before it"),
        (rows(12, step=60), "rows are 60 min apart"),
        (rows(12, step=1 / 60), "rows are 1 s apart (if t_min is in hours"),
        (rows(12, ambient="72"), "°F in place of °C?"),
        (rows(2, ambient="-45"), "nobody has validated"),
        (rows(2, k="4"), "line 2: K = 4; line 3: K = 4: more than any loading guide"),
        (rows(12, k="0.01"), "never exceeds K = 0.01"),
    ],
)  # fmt: skip
def test_what_is_doubtful_is_replayed_and_said(path: Path, text: str, said: str) -> None:
    assert any(said in warning for warning in checked(path, text)), checked(path, text)


def test_a_sound_file_gives_no_warning(path: Path) -> None:
    assert checked(path, rows(50)) == ()


def test_steps_of_a_heat_run_hours_apart_are_no_slip_of_units(path: Path) -> None:
    assert checked(path, HEAD + "0,25.6,1\n190,25.6,1\n365,25.6,0.6\n500,25.6,1.5\n705,25.6,0.3\n730,25.6,2.1\n") == ()
