"""Tables and lines on screens of any width."""

from __future__ import annotations

import pytest

from v2g.cli.tables import fitted, table

HEAD = ("EVSE", "STATE", "BOUND BY")
ROWS = (
    ("US*V2G*E1", "charging", "the transformer's hot spot in eight minutes, and then by its top oil"),
    ("US*V2G*E2", "", ""),
)


def test_what_fits_stays_in_columns() -> None:
    assert table(HEAD, ROWS, 120).splitlines() == [
        "EVSE       STATE     BOUND BY",
        "US*V2G*E1  charging  the transformer's hot spot in eight minutes, and then by its top oil",
        "US*V2G*E2",
    ]
    assert table(HEAD, ROWS, 120) == table(HEAD, ROWS, 89)


def test_a_long_last_column_is_wrapped_under_itself() -> None:
    assert table(HEAD, ROWS, 60).splitlines() == [
        "EVSE       STATE     BOUND BY",
        "US*V2G*E1  charging  the transformer's hot spot in eight",
        "                     minutes, and then by its top oil",
        "US*V2G*E2",
    ]


def test_on_a_narrow_screen_each_row_is_a_block() -> None:
    assert table(HEAD, ROWS, 38).splitlines() == [
        "EVSE US*V2G*E1",
        "  STATE     charging",
        "  BOUND BY  the transformer's hot spot",
        "            in eight minutes, and then",
        "            by its top oil",
        "EVSE US*V2G*E2",
    ]


def test_no_line_of_words_is_wider_than_the_screen() -> None:
    for width in range(24, 100):
        assert max(len(line) for line in table(HEAD, ROWS, width).splitlines()) <= width


def test_nothing_in_a_cell_moves_the_cursor() -> None:
    for width in (30, 60, 200):
        assert "\x1b" not in table(("A", "B"), [("\x1b[2J", "x" * 50)], width)


def test_an_empty_table_has_its_head(monkeypatch: pytest.MonkeyPatch) -> None:
    assert table(("A", "B"), [], 80) == "A  B"
    monkeypatch.delenv("COLUMNS", raising=False)
    assert table(("A", "B"), [("1", "x" * 300)]).count("\n") == 1, "a pipe is as wide as it takes"


def test_columns_of_the_environment_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    assert table(HEAD, ROWS).startswith("EVSE US*V2G*E1\n")


def test_a_long_line_goes_on_under_what_stands_behind_its_label() -> None:
    text = (
        "transformer  load 82 kW, hot spot 46 °C; may discharge 328 kW\n- a remark that is longer than that is\nshort"
    )
    assert fitted(text, 36).splitlines() == [
        "transformer  load 82 kW, hot spot 46",
        "             °C; may discharge 328",
        "             kW",
        "- a remark that is longer than that",
        "  is",
        "short",
    ]
    assert fitted(text, 200) == text
