"""The filters' task with ports in memory and a report on the disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from support.wires import E1, inverter
from v2g.clock import ManualClock
from v2g.guard import wires_filter
from v2g.guard.quality_report import QualityReport
from v2g.guard.wires_filter import FilterTask
from v2g.hardware.ports import DeviceError, InverterReading


@dataclass
class Port:
    value: float = 8_000.0
    temperature: float | None = 50.0
    problem: str = ""
    unit: str = "Hz"
    steps: tuple[float, ...] = (8_000.0, 10_000.0, 12_000.0, 14_000.0)
    written: list[float] = field(default_factory=list)

    async def read(self) -> float:
        if self.problem == "read":
            raise DeviceError("no answer")
        return self.value

    async def temperature_c(self) -> float | None:
        return self.temperature

    async def apply(self, value: float) -> None:
        if self.problem == "write":
            raise DeviceError("refuses the value")
        self.value = value
        self.written.append(value)


class Logged:
    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def info(self, code: str, message: str, /, **fields: Any) -> None:
        self.lines.append((code, fields))

    warning = info


class Bench:
    def __init__(self, folder: Path, clock: ManualClock) -> None:
        self.clock, self.port = clock, Port()
        self.quality = folder / "quality.json"
        self.reading: InverterReading | None = inverter(power_w=-10_000.0)
        self.reading_age_s = 0.0
        self.publishes = True
        self.thresholds: dict[str, float] | None = {E1: 0.03}
        self.link = SimpleNamespace(name="inverter", state=SimpleNamespace(online=True))
        self.task = FilterTask(self.quality, self._readings, clock)
        self.task.put(E1, self.port, self.link, 85.0, 22_000.0)  # type: ignore[arg-type]

    def _readings(self) -> list[InverterReading]:
        if self.reading is None:
            return []
        return [msgspec.structs.replace(self.reading, as_of_s=self.clock.monotonic_s() - self.reading_age_s)]

    async def run(self, seconds: int) -> None:
        for _ in range(seconds):
            self.clock.advance(1.0)
            if self.publishes:
                thd_pct = 6.0 * (8_000.0 / self.port.value) ** 2
                report = QualityReport(
                    as_of_s=self.clock.monotonic_s() - 0.2,
                    thd_i_pct=(thd_pct,) * 3,
                    harmonics_i_pct=((0.45 * thd_pct,) * 3,),
                )
                self.quality.write_bytes(msgspec.json.encode(report))
            if self.thresholds is not None:
                self.task.take(self.thresholds)
            await self.task.step()


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Logged:
    log = Logged()
    monkeypatch.setattr(wires_filter.logs, "power_quality_log", lambda: log)
    return log


@pytest.fixture
def bench(tmp_path: Path, clock: ManualClock) -> Bench:
    return Bench(tmp_path, clock)


async def test_the_measured_thd_moves_the_carrier_and_the_log_has_before_and_after(bench: Bench, log: Logged) -> None:
    await bench.run(25)
    assert bench.port.written == [10_000.0, 12_000.0]
    ((code, fields),) = log.lines
    assert code == "HARMONIC_FILTER"
    assert (fields["to_hz"], fields["thd_before_pct"], fields["thd_after_pct"]) == (12_000.0, 6.0, 2.67)
    (state,) = bench.task.states()
    assert (state.value, state.unit, state.active, state.threshold) == (12_000.0, "Hz", True, 0.03)
    assert state.thd_before == pytest.approx(0.06)
    assert state.thd_now == pytest.approx(0.0267, abs=1e-4)


@pytest.mark.parametrize("threshold", [3.0, 0.001, float("nan"), -0.03])
async def test_a_threshold_outside_the_bounds_moves_nothing(bench: Bench, log: Logged, threshold: float) -> None:
    bench.thresholds = {E1: threshold}
    await bench.run(20)
    assert bench.port.written == []
    assert bench.task.states()[0].threshold == 0.0


async def test_an_orchestrator_that_falls_silent_leaves_it_for_a_minute(bench: Bench, log: Logged) -> None:
    await bench.run(25)
    bench.thresholds = None
    await bench.run(58)
    assert bench.port.value == 12_000.0
    await bench.run(6)
    assert bench.port.value == 8_000.0


async def test_a_report_that_is_not_renewed_holds_and_then_goes_back(bench: Bench, log: Logged) -> None:
    await bench.run(25)
    bench.publishes = False
    await bench.run(55)
    assert bench.port.value == 12_000.0
    assert bench.task.states()[0].thd_now is None
    await bench.run(20)
    assert bench.port.value == 8_000.0


async def test_the_hotter_of_two_temperatures_counts_and_none_means_no_step(bench: Bench, log: Logged) -> None:
    assert bench.reading is not None
    bench.reading = msgspec.structs.replace(bench.reading, temperature_c=84.0)
    await bench.run(20)
    assert bench.port.written == []
    assert bench.task.states()[0].limited_by == "temperature"
    bench.port.temperature, bench.reading = None, msgspec.structs.replace(bench.reading, temperature_c=None)
    await bench.run(20)
    assert bench.port.written == []
    assert bench.task.states()[0].limited_by == "temperature unknown"


async def test_a_reading_of_long_ago_is_no_power(bench: Bench, log: Logged) -> None:
    bench.reading_age_s = 3.0
    await bench.run(20)
    assert bench.port.written == []


@pytest.mark.parametrize("problem", ["read", "write"])
async def test_a_device_that_fails_is_named_and_the_task_goes_on(bench: Bench, log: Logged, problem: str) -> None:
    bench.port.problem = problem
    await bench.run(20)
    (state,) = bench.task.states()
    assert state.value == (None if problem == "read" else 8_000.0)
    assert state.limited_by == ("" if problem == "read" else "device")
    bench.port.problem = ""
    await bench.run(330)
    assert bench.port.value == 12_000.0
