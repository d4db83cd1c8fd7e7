"""What a head's meters show."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from v2g.mesh.meters import OLD_S, read_meters

NOW_S = 1.8e9


def written(path: Path, text: str, age_s: float = 0.0) -> str:
    path.write_text(text)
    os.utime(path, (NOW_S - age_s, NOW_S - age_s))
    return str(path)


def test_a_file_is_read_while_it_is_fresh(tmp_path: Path) -> None:
    fresh = written(tmp_path / "a", " 81250.5\n", OLD_S - 0.1)
    old = written(tmp_path / "b", "81250.5", OLD_S + 0.1)
    ahead = written(tmp_path / "c", "1", -OLD_S - 0.1)
    found = read_meters({"a": fresh, "b": old, "c": ahead}, lambda: NOW_S)
    assert found["a"] == 81250.5
    assert math.isnan(found["b"])
    assert math.isnan(found["c"])


@pytest.mark.parametrize("text", ["", "lots", "1 2", "0x10", "9" * 200 + "x"])
def test_what_is_no_number_says_nothing(tmp_path: Path, text: str) -> None:
    assert math.isnan(read_meters({"a": written(tmp_path / "a", text)}, lambda: NOW_S)["a"])


def test_a_file_that_is_missing_or_a_directory_says_nothing(tmp_path: Path) -> None:
    found = read_meters({"a": str(tmp_path / "none"), "b": str(tmp_path)}, lambda: NOW_S)
    assert math.isnan(found["a"])
    assert math.isnan(found["b"])
