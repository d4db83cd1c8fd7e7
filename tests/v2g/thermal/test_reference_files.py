from __future__ import annotations

from pathlib import Path

import pytest

from support.thermal_reference import FILES, Check


@pytest.mark.parametrize("name", sorted(FILES))
def test_every_published_figure_within_its_tolerance(name: str, shared_data: Path) -> None:
    check, figures = FILES[name]
    checks = list(check(shared_data / "thermal"))
    assert {c.what: c.beyond for c in checks if c.beyond} == {}
    assert sum(len(c.deviations) for c in checks) == figures


def test_every_file_of_the_folder_is_compared(shared_data: Path) -> None:
    files = {path.stem for path in (shared_data / "thermal").glob("*.csv")}
    assert files - {"headroom_cases_profiles"} == set(FILES)


def test_a_deviation_is_found_and_an_exception_is_for_its_row_only() -> None:
    check = Check(file="f", what="w", unit="K", tolerance=0.1, exceptions={"b": 1.0})
    for row, deviation in (("a", -0.2), ("a", 0.05), ("b", 0.9), ("c", float("nan"))):
        check.add(row, deviation)
    assert [row for row, _ in check.beyond] == ["a", "c"]
    assert check.exceptions == {"b": 1.0}
