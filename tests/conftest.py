"""Fixtures of every test room."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from support import examples

# Workers and the many processes that tests start would each compile the whole house again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# Whose terminal the tests are run in is not theirs: xdist gives its width to the workers.
for _variable in ("COLUMNS", "NO_COLOR", "V2G_CONFIG", "V2G_SOCKET"):
    os.environ.pop(_variable, None)

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Reference data beside the project; tests that need it skip where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("reference data is absent: ../shared/data relative to the project root")
    return SHARED_DATA


def pytest_configure(config: pytest.Config) -> None:
    examples.choose(every=not _fast(config))


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Fast tests share the cores, with one worker more since some wait; the others need the machine to themselves."""
    return len(os.sched_getaffinity(0)) + 1 if _fast(config) else 0


def _fast(config: pytest.Config) -> bool:
    """The run without a marker of its own."""
    return str(config.option.markexpr).startswith("not ")
