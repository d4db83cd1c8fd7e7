from __future__ import annotations

import enum
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from v2g.telemetry.lines import json_line, text_line, timestamp

AT = 1767323045.678


class Colour(enum.Enum):
    RED = 1


class Mode(enum.StrEnum):
    CHARGE = "charge"


class Rude:
    def __str__(self) -> str:
        raise RuntimeError


def test_a_line_reads_time_level_code_message_fields() -> None:
    line = text_line(AT, "error", "SECC_TIMEOUT", "the vehicle is silent", {"evse_id": "US*V2G*E1", "after_s": 0.5})
    assert line == ("2026-01-02T03:04:05.678Z ERROR: SECC_TIMEOUT the vehicle is silent evse_id=US*V2G*E1 after_s=0.5")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("with space", '"with space"'),
        ("", '""'),
        ('a"b', '"a\\"b"'),
        ("a\\b", '"a\\\\b"'),
        ("a=b", '"a=b"'),
        ("line\nERROR: FORGED", '"line\\nERROR: FORGED"'),
        ("\x1b[2J", '"\\x1b[2J"'),
        ("\u202egnp", '"\\u202egnp"'),
        ("\u2028", '"\\u2028"'),
        ("\udc80", '"\\udc80"'),
        ("Ø", "Ø"),
        (True, "true"),
        (None, "none"),
        (-10000.0, "-10000.0"),
        (b"\x01\xfe", "01fe"),
        (Colour.RED, "RED"),
        (Mode.CHARGE, "charge"),
        (Rude(), "<Rude>"),
    ],
)
def test_values_are_quoted_where_they_must_be(value: object, shown: str) -> None:
    assert text_line(AT, "info", "X", "", {"k": value}).endswith(f" X k={shown}")


@given(code=st.text(), message=st.text(), key=st.text(), value=st.text())
def test_nothing_ends_a_line_or_hides_in_it(code: str, message: str, key: str, value: str) -> None:
    line = text_line(AT, "info", code, message, {key: value})
    assert line.isprintable()
    assert len(line.splitlines()) == 1
    record = json_line("comms", AT, "info", code, message, {key: value})
    assert record.isprintable()
    assert json.loads(record)["time"] == "2026-01-02T03:04:05.678Z"


def test_a_code_is_one_word() -> None:
    assert " ERROR: A_B_ERROR: " in text_line(AT, "error", "A B\nERROR:", "x", {})
    assert " INFO: UNNAMED" in text_line(AT, "info", "", "", {})


def test_a_line_is_bounded() -> None:
    line = text_line(AT, "info", "X" * 500, "m" * 10_000, {f"k{i}": "v" * 5000 for i in range(100)})
    assert len(line) < 50_000
    assert "fields_left_out=60" in line


def test_json_keeps_numbers_and_renames_fields_that_collide() -> None:
    record = json.loads(
        json_line("comms", AT, "warning", "X", "said", {"power_w": -5.0, "on": True, "level": "n", "n": None})
    )
    assert record == {
        "time": "2026-01-02T03:04:05.678Z",
        "level": "WARNING",
        "log": "comms",
        "code": "X",
        "message": "said",
        "power_w": -5.0,
        "on": True,
        "level_": "n",
        "n": None,
    }


def test_milliseconds_are_rounded_not_cut() -> None:
    assert timestamp(1767323045.9996) == "2026-01-02T03:04:06.000Z"
