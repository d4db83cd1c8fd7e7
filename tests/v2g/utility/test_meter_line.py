"""A line of the meter feed: what it may say, and what each mistake is answered."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from v2g.utility.meter_line import parse
from v2g.utility.meter_reading import Reading, ReadingRefused, Register

GOOD: dict[str, Any] = {"meter": "c1", "at": 1_700_000_000, "power_w": {"a": 230.0, "b": 0, "c": -1150.5}}


def line(**changes: Any) -> bytes:
    raw = {key: value for key, value in (GOOD | changes).items() if value is not ...}
    return json.dumps(raw).encode()


def test_power_by_phase() -> None:
    told = parse(line())
    assert told.meter == "c1"
    assert told.reading == Reading(at_unix_s=1_700_000_000.0, power_w=(230.0, 0.0, -1150.5))


@pytest.mark.parametrize(
    ("unit", "what", "factor"),
    [("W", "power_w", 1), ("kW", "power_w", 1e3), ("Wh", "energy_wh", 1), ("kWh", "energy_wh", 1e3)],
)
def test_every_unit(unit: str, what: str, factor: float) -> None:
    told = parse(line(**({"power_w": ...} | {what: {"b": 1.5}}), unit=unit)).reading
    values = told.power_w if isinstance(told, Reading) else told.energy_wh
    assert isinstance(told, Register) == (what == "energy_wh")
    assert (values, told.phases) == ((0.0, 1.5 * factor, 0.0), "b")


def test_a_total_is_shared_equally_and_said() -> None:
    told = parse(line(power_w=900)).reading
    assert told == Reading(
        at_unix_s=1.7e9, power_w=(300.0,) * 3, remark="its phases are not told: its total is shared equally among three"
    )


@pytest.mark.parametrize("at", ["2023-11-14T22:13:20Z", "2023-11-14T23:13:20+01:00", 1_700_000_000.0])
def test_times_as_seconds_and_as_iso_8601(at: str | float) -> None:
    assert parse(line(at=at)).reading.at_unix_s == 1_700_000_000.0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"meter": ...}, '"meter" must be the id'),
        ({"meter": 17}, '"meter" must be the id'),
        ({"meter": ""}, '"meter" must be the id'),
        ({"meter": "x" * 65}, "1 to 64 characters"),
        ({"at": ...}, '"at" is missing: write seconds since 1970'),
        ({"at": True}, '"at" is true or false'),
        ({"at": "yesterday"}, "no ISO 8601 time; write it like 2026-03-01T12:00:00Z"),
        ({"at": "2026-03-01T12:00:00"}, "has no time zone; write 2026-03-01T12:00:00Z for UTC"),
        ({"at": 1e300}, '"at" is out of range'),
        ({"power_w": ...}, 'either "power_w" or "energy_wh"'),
        ({"energy_wh": {"a": 1}}, 'either "power_w" or "energy_wh"'),
        ({"power_w": "5 kW"}, '"power_w" is text: write a number'),
        ({"power_w": None}, '"power_w" is missing'),
        ({"power_w": {}}, "has the phases a, b, c"),
        ({"power_w": {"L1": 5}}, "has the phases a, b, c"),
        ({"power_w": {"ab": 5}}, "has the phases a, b, c"),
        ({"power_w": {"a": "5"}}, '"power_w.a" is text'),
        ({"power_w": {"a": True}}, '"power_w.a" is true or false'),
        ({"power_w": {"a": None}}, '"power_w.a" is missing'),
        ({"power_w": {"a": [5]}}, '"power_w.a" is a list'),
        ({"power_w": {"a": 10**400}}, "out of range|no JSON"),
        ({"unit": "kwh"}, """"unit" 'kwh' is none of "power_w": write W or kW"""),
        ({"unit": "kWh"}, "write W or kW, or give 'energy_wh' instead of 'power_w'"),
        ({"unit": 1000}, '"unit" 1000 is none of'),
        ({"unit": ["W"]}, "\"unit\" 'list' is none of"),
        ({"Unit": "kW"}, "'Unit' is no field of a reading; the fields are meter, at"),
    ],
)
def test_every_mistake_names_field_and_remedy(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ReadingRefused, match=words):
        parse(line(**changes))


@pytest.mark.parametrize("text", ["", "{", "[1]", "5", '{"meter": NaN}', '{"at": Infinity}', "\xff", "[" * 3000])
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(ReadingRefused, match=r"no JSON|is a JSON object"):
        parse(text.encode("latin-1"))


@given(st.binary(max_size=300))
@example(b'{"meter":"c1","at":"0001-01-01T00:00:00+23:59","power_w":1}')
@example(b'{"meter":"c1","at":"9999-12-31T23:59:59-23:59","power_w":1}')
def test_any_bytes_are_a_reading_or_a_refusal(data: bytes) -> None:
    try:
        told = parse(data)
    except ReadingRefused:
        return
    assert 1 <= len(told.meter) <= 64


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), inner, max_size=4)
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(["meter", "at", "power_w", "energy_wh", "unit", "x"]), JSON, max_size=6))
def test_any_object_is_a_finite_reading_or_a_refusal(raw: dict[str, Any]) -> None:
    try:
        told = parse(json.dumps(raw).encode()).reading
    except ReadingRefused:
        return
    values = told.power_w if isinstance(told, Reading) else told.energy_wh
    assert all(abs(value) <= 1e15 for value in (*values, told.at_unix_s))
