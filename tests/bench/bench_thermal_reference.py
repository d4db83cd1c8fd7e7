"""The thermal model beside the reference data: ``python tests/bench/bench_thermal_reference.py``.

Writes ``report_thermal_reference.md`` beside itself: every file, how many figures, what may deviate and what does.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.thermal_reference import FILES, Check

DATA = Path(__file__).resolve().parents[3] / "shared/data/thermal"
REPORT = Path(__file__).with_name("report_thermal_reference.md")


def amount(value: float, unit: str) -> str:
    return f"{value:.3g} {unit}".rstrip() if value else "0"


def lines(checks: list[Check]) -> Iterator[str]:
    compared = sum(len(check.deviations) for check in checks)
    beyond = sum(len(check.beyond) for check in checks)
    yield "# The thermal model beside the reference data"
    yield ""
    yield f"By `python tests/bench/bench_thermal_reference.py`. {compared} figures, {beyond} beyond their tolerance."
    yield ""
    yield "| file | what | figures | tolerance | largest deviation | beyond |"
    yield "|---|---|---:|---:|---:|---:|"
    for check in checks:
        yield (
            f"| {check.file} | {check.what} | {len(check.deviations)} | {amount(check.tolerance, check.unit)} "
            f"| {amount(check.largest, check.unit)} | {len(check.beyond)} |"
        )
    yield ""
    yield "Deviations relative to a printed figure are counted beyond the rounding of its last digit."
    yield ""
    yield "## Exceptions"
    yield ""
    for check in checks:
        for row, tolerance in check.exceptions.items():
            largest = max(d for at, d in check.deviations if at == row)
            yield (
                f"- {check.file}, {row}: {amount(largest, check.unit)}, {amount(tolerance, check.unit)} allowed. The "
                "published row does not reproduce in independent integrations of the equations either."
            )
    yield (
        "- iec_difference_equation_example_onaf.csv: the `_diffeq` columns are Euler's form and the `_ivp_linear` ones "
        "have inputs linear between rows; the model is exact for inputs held over a step, so is not compared to them."
    )
    yield (
        "- headroom_cases.csv: `intra_step_excess_K_or_violation` is not compared: limits count at minutes' ends, and "
        "infeasible cases are compared by the word alone."
    )


def main() -> None:
    checks = [check for compare, _ in FILES.values() for check in compare(DATA)]
    text = "\n".join([*lines(checks), ""])
    REPORT.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
