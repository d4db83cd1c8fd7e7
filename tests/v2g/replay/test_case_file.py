from __future__ import annotations

import contextlib
import csv
import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from v2g.replay.case_file import COLUMNS, is_case_file, read_cases
from v2g.replay.case_settings import settings_of
from v2g.replay.stimulus import ReplayError

Write = Callable[..., Path]
SEGMENT: dict[str, Any] = {"d": 1.0, "v": [1, 1, 1], "f": 60.0, "r": None}
ROW = {
    "id": "C1",
    "family": "volt_trip",
    "category": "III",
    "nominal_hz": "60",
    "settings": '{"profile": "default_III"}',
    "stimulus": json.dumps([SEGMENT, SEGMENT]),
    "ref_segment": "1",
    "expect": "NO_TRIP",
    "element": "OV2",
    "tmin_s": "",
    "tmax_s": "",
}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def make(*rows: dict[str, str], header: tuple[str, ...] = COLUMNS) -> Path:
        path = tmp_path / "cases.csv"
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, header, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
        return path

    return make


def segment(**changes: Any) -> str:
    return json.dumps([SEGMENT | changes, SEGMENT])


def test_the_reference_file_is_read_whole(shared_data: Path) -> None:
    cases = read_cases(shared_data / "grid/cases.csv")
    assert len(cases) == 169
    first = cases[0]
    assert (first.id, first.family, first.nominal_hz, first.expect) == ("S001", "distortion", 60.0, "NO_TRIP")
    assert first.segments[1].h == {5: 0.06, 7: 0.04, 11: 0.03, 13: 0.02}
    assert first.reference_s == 5.0
    assert next(case for case in cases if case.id == "S060").segments[1].loss


def test_a_case_file_is_told_by_its_header() -> None:
    assert is_case_file(list(COLUMNS))
    assert not is_case_file(["t_s", "va_pu", "vb_pu", "vc_pu"])


def test_missing_values_of_a_segment_are_none(write: Write) -> None:
    (case,) = read_cases(write(ROW | {"stimulus": segment(ph=None, h=None), "tmin_s": " "}))
    assert case.segments[0].ph == (0.0, 0.0, 0.0)
    assert case.segments[0].h is None
    assert case.tmin_s is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"id": " "}, "line 2, id: empty"),
        ({"nominal_hz": "55"}, "line 2, nominal_hz: '55'; it is 50 or 60"),
        ({"expect": "MAYBE"}, "line 2, expect: 'MAYBE'; it is one of TRIP"),
        ({"ref_segment": "2"}, "line 2, ref_segment: '2'; it is a whole number of 0..1"),
        ({"ref_segment": "0.5"}, "ref_segment"),
        ({"expect": "TRIP", "tmin_s": "1"}, "TRIP needs tmin_s <= tmax_s"),
        ({"expect": "TRIP", "tmin_s": "2", "tmax_s": "1"}, "TRIP needs tmin_s <= tmax_s"),
        ({"tmin_s": "soon"}, "line 2, tmin_s: 'soon' is not a number"),
        ({"tmin_s": "nan"}, "'nan' is not a number"),
        ({"settings": "[]"}, "settings: not an object"),
        ({"settings": '{"profil": "x"}'}, "unknown profil; known are der, disable_other"),
        ({"settings": '{"override": {}}'}, "neither profile nor es nor sync"),
        ({"settings": "{"}, "settings: not JSON"),
        ({"settings": '{"profile": "default_I", "der": {}}'}, "der without sync"),
        ({"settings": '{"sync": {"kva": 1}, "der": {"df": 1}}'}, "it holds numbers for df_hz, dv_pu, dtheta_deg"),
        ({"settings": '{"sync": {"kva": 1}, "der": {"df_hz": "1"}}'}, "it holds numbers for df_hz"),
        ({"stimulus": "[]"}, "stimulus: not a list of segments"),
        ({"stimulus": "[3]"}, "segment 0: not an object"),
        ({"stimulus": segment(q=1)}, "segment 0: unknown q; known are d, f, h, loss, ph, r, v"),
        ({"stimulus": segment(d=0)}, "segment 0: d 0 s; it is above 0"),
        ({"stimulus": segment(d=None)}, "segment 0: Object missing required field `d`"),
        ({"stimulus": segment(d=80_000).replace('"d": 1.0', '"d": 80000')}, "160000 s in all"),
        ({"stimulus": segment(v=[1, 1])}, "segment 0: Expected `array` of length 3"),
        ({"stimulus": segment(v=[1, 1, -1])}, "segment 0: v (1.0, 1.0, -1.0); each is 0..10 p.u."),
        ({"stimulus": segment(f=0)}, "f 0 Hz; it is 1..400"),
        ({"stimulus": segment(r=-1)}, "r -1 Hz/s; it is a magnitude"),
        ({"stimulus": segment(ph=[0, 400, 0])}, "each is -360..360 degrees"),
        ({"stimulus": segment(h={"1": 0.1})}, "h 1: 0.1; orders from 2 on"),
        ({"stimulus": segment(h={"five": 0.1})}, "segment 0: Expected `int`"),
    ],
)
def test_a_broken_row_names_line_place_and_remedy(write: Write, changes: dict[str, str], said: str) -> None:
    path = write(ROW | changes)
    with pytest.raises(ReplayError) as raised:
        read_cases(path)
    assert str(raised.value).startswith(f"{path}, line 2, ")
    assert said in str(raised.value)


def test_the_line_of_a_later_row_counts_lines_inside_fields(write: Write) -> None:
    path = write(ROW | {"stimulus": segment().replace(", ", ",\n")}, ROW | {"id": "C2", "expect": "?"})
    lines = path.read_text().splitlines()
    at = next(number for number, line in enumerate(lines, start=1) if line.startswith("C2"))
    with pytest.raises(ReplayError, match=f"line {at}, expect"):
        read_cases(path)


def test_a_row_with_too_few_fields_is_refused(write: Write) -> None:
    path = write(ROW)
    path.write_text(path.read_text() + "C2,volt_trip\n")
    with pytest.raises(ReplayError, match="line 3: the number of fields differs"):
        read_cases(path)


def test_a_file_without_a_column_or_a_row_or_with_an_id_twice_is_refused(write: Write) -> None:
    with pytest.raises(ReplayError, match="line 1: no column expect, element"):
        read_cases(write(ROW, header=tuple(name for name in COLUMNS if name not in ("expect", "element"))))
    with pytest.raises(ReplayError, match="no case below the header"):
        read_cases(write())
    with pytest.raises(ReplayError, match="C1 is there twice"):
        read_cases(write(ROW, ROW))


@given(column=st.sampled_from(COLUMNS), text=st.text(max_size=60))
@settings(max_examples=examples(40), deadline=None)
def test_whatever_a_field_holds_only_a_declared_error_comes_out(column: str, text: str) -> None:
    with TemporaryDirectory() as place:
        path = Path(place) / "cases.csv"
        with path.open("w", newline="", encoding="utf-8", errors="replace") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerow(ROW | {column: text})
        with contextlib.suppress(ReplayError):
            for case in read_cases(path):
                settings_of(case)


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(sorted("dvfrh")), inner, max_size=5)
        ),
        max_leaves=8,
    ),
    key=st.sampled_from(["d", "v", "f", "r", "ph", "h", "loss"]),
)
@settings(max_examples=examples(40), deadline=None)
def test_whatever_a_segment_holds_only_a_declared_error_comes_out(value: Any, key: str) -> None:
    with TemporaryDirectory() as place:
        path = Path(place) / "cases.csv"
        with path.open("w", newline="", encoding="utf-8", errors="replace") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerow(ROW | {"stimulus": json.dumps([SEGMENT | {key: value}, SEGMENT])})
        with contextlib.suppress(ReplayError):
            read_cases(path)


def test_a_file_that_is_absent_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match="No such file"):
        read_cases(tmp_path / "none.csv")
    (tmp_path / "binary.csv").write_bytes(b"id,\xff\xfe\x00")
    with pytest.raises(ReplayError, match="not UTF-8"):
        read_cases(tmp_path / "binary.csv")
