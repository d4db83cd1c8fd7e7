from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from v2g.thermal.parameters import ThermalParameters, from_nameplate

Rows = list[dict[str, str]]


@pytest.fixture(scope="session")
def thermal_rows(shared_data: Path) -> Callable[[str], Rows]:
    """Rows of a CSV file of the thermal reference data, or a skip where it is absent."""
    folder = shared_data / "thermal"

    def read(name: str) -> Rows:
        path = folder / name
        if not path.exists():
            pytest.skip(f"reference data {name} is not beside the project (../shared/data/thermal)")
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    return read


@pytest.fixture
def distribution() -> ThermalParameters:
    return from_nameplate(
        cooling="DIST_ONAN", rated_kva=400.0, top_oil_rise_k=55.0, hot_spot_gradient_k=23.0, loss_ratio_r=5.0
    )
