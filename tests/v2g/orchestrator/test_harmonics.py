from __future__ import annotations

import pytest

from v2g.guard.quality_report import QualityReport
from v2g.orchestrator.harmonics import load_f_hl

RATED_A = 300.0


def report(*orders: tuple[float, float, float], not_measured: str = "") -> QualityReport:
    return QualityReport(as_of_s=1.0, not_measured=not_measured, transformer_harmonics_a=orders)


def test_the_worst_phase_counts() -> None:
    # (100² + 20²·25) / (100² + 20²) of phase b.
    found = load_f_hl(report((100.0, 100.0, 100.0), *[(0.0, 0.0, 0.0)] * 3, (0.0, 20.0, 5.0)), RATED_A)
    assert found == pytest.approx((1.0 + 0.04 * 25.0) / 1.04)


def test_a_phase_without_current_has_no_say() -> None:
    assert load_f_hl(report((100.0, 1.0, 100.0), (0.0, 5.0, 0.0)), RATED_A) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "unknown",
    [
        None,
        report(),
        report((100.0, 100.0, 100.0), not_measured="no fresh samples"),
        report((float("nan"), 100.0, 100.0)),
        report((100.0, 100.0, 100.0), (0.0, float("inf"), 0.0)),
        report((100.0, 100.0, 100.0), (0.0, -1.0, 0.0)),
    ],
)
def test_what_is_not_measured_is_not_known(unknown: QualityReport | None) -> None:
    assert load_f_hl(unknown, RATED_A) is None
