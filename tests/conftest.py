"""Fixtures of every test room."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Reference data beside the project; tests that need it skip where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("reference data is absent: ../shared/data relative to the project root")
    return SHARED_DATA


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Fast tests share the cores; soaks, benches and peers need the machine to themselves."""
    return None if str(config.option.markexpr).startswith("not ") else 0
