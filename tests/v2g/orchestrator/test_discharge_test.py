"""The first discharge test: what is measured and judged, what is recorded, and whose discharge it refuses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from support.control_world import E1, E2, World
from v2g.control.messages_discharge import DischargeTestParams, DischargeTestRecord, DischargeTestResult
from v2g.control.server import Caller, Refused, Role
from v2g.guard.status import Permit
from v2g.hardware.ports import InverterReading
from v2g.orchestrator import status
from v2g.orchestrator.discharge_record import DischargeTests
from v2g.orchestrator.discharge_test import DischargeMeter, Figures, judge
from v2g.orchestrator.discharge_test_api import DischargeTestApi

EVA = Caller(uid=1000, gid=1000, pid=1, user="eva", role=Role.ENGINEER)
GOOD: dict[str, Any] = {
    "order_w": 2000.0, "ac_w": 1990.0, "dc_w": 2040.0, "reversion_armed": True, "islanding_watched": True,
    "samples": 50,
}  # fmt: skip


def reading(as_of_s: float, power_w: float, dc_power_w: float | None = None, armed: bool = True) -> InverterReading:
    return InverterReading(
        evse_id=E1, as_of_s=as_of_s, power_w=power_w, dc_power_w=dc_power_w, reversion_armed=armed, connected=True
    )


class TestJudge:
    def test_a_good_test_passes(self) -> None:
        assert judge(Figures(**GOOD), accept_low=False) == ((), ())

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"dc_w": 2092.0}, "efficiency measured 95.1 %, less than 97 %"),
            ({"dc_w": 1900.0}, "efficiency measured 104.7 %, which no inverter has"),
            ({"dc_w": float("nan")}, "efficiency not measured"),
            ({"dc_w": None}, "efficiency not measured"),
            ({"ac_w": 1800.0, "dc_w": 1830.0}, "does not follow: -10.0 % from the order"),
            ({"ac_w": float("nan")}, "does not follow"),
            ({"reversion_armed": False}, "reversion to zero was not armed"),
            ({"islanding_watched": False}, "islanding detection"),
            ({"samples": 4}, "only 4 readings"),
        ],
    )
    def test_what_is_wrong_fails_it_with_the_reason(self, changes: dict[str, Any], reason: str) -> None:
        reasons, _ = judge(Figures(**{**GOOD, **changes}), accept_low=False)
        assert any(reason in each for each in reasons), reasons

    def test_a_low_efficiency_that_is_accepted_by_name_is_a_remark(self) -> None:
        reasons, remarks = judge(Figures(**{**GOOD, "dc_w": 2092.0}), accept_low=True)
        assert reasons == ()
        assert "accepted by inverter.accept_low_efficiency" in remarks[0]

    def test_tenths_of_a_percent_count(self) -> None:
        assert judge(Figures(**{**GOOD, "ac_w": 1939.2, "dc_w": 2000.0}), accept_low=False)[0] == ()
        assert judge(Figures(**{**GOOD, "ac_w": 1938.0, "dc_w": 2000.0}), accept_low=False)[0] != ()


class TestMeter:
    def test_the_way_to_the_order_does_not_count_and_no_reading_counts_twice(self) -> None:
        meter = DischargeMeter(2000.0, 0.0)
        for at_s, power_w in (
            (0.1, -9000.0),
            (0.5, -2000.0),
            (0.7, 0.0),
            (1.0, -1950.0),
            (2.0, -2000.0),
            (3.1, -2000.0),
        ):
            meter.add(at_s, reading(at_s, power_w, power_w), None, True)
        assert meter.figures().samples == 0
        for at_s in (3.2, 3.2, 3.4):
            meter.add(at_s, reading(at_s, -2000.0, -2050.0), None, True)
        figures = meter.figures()
        assert (figures.samples, figures.ac_w, figures.dc_w) == (2, 2000.0, 2050.0)

    def test_an_order_that_is_never_reached_is_measured_all_the_same(self) -> None:
        meter = DischargeMeter(2000.0, 0.0)
        for tick in range(200):
            meter.add(tick * 0.1, reading(tick * 0.1 + 0.01, -900.0, -950.0), None, True)
        assert meter.figures().deviation == pytest.approx(-0.55)

    def test_a_dc_power_that_is_not_told_each_time_is_no_partner(self) -> None:
        meter = DischargeMeter(2000.0, 0.0)
        for tick in range(1, 60):
            at_s = tick * 0.1
            meter.add(at_s, reading(at_s, -2000.0, -2050.0 if tick != 40 else None), None, True)
        assert meter.figures().samples > 30
        assert meter.figures().efficiency is None


class Bench:
    """The world with the method, whose waiting is one cycle of the site."""

    def __init__(self, world: World, path: Path, efficiency: float = 0.98) -> None:
        self.world = world
        self.efficiency = efficiency
        self.tests = DischargeTests(path)
        world.site.discharge_tests = self.tests
        self.audited: list[tuple[str, str]] = []
        self.api = DischargeTestApi(world.site, self.tests, world.clock, self._audit, self._sleep)
        self.during: Callable[[], None] = lambda: None

    def _audit(self, code: str, message: str, /, **fields: Any) -> None:
        self.audited.append((code, message))

    async def _sleep(self, seconds: float) -> None:
        self.during()
        self.world.run()
        inverter = self.world.wires.inverters[E1]
        inverter["dc_power_w"] = inverter["power_w"] / self.efficiency
        await asyncio.sleep(0)

    async def start(self, **changes: Any) -> DischargeTestResult:
        fields = {"step": "start", "evse_id": E1, "duration_s": 5.0, "acknowledge": "Anna Kranz", **changes}
        return await self.api.step(DischargeTestParams(**fields), EVA)

    async def run(self, **changes: Any) -> DischargeTestRecord:
        result = await self.start(**changes)
        while result.running:
            await asyncio.sleep(0)
            result = await self.api.step(DischargeTestParams(step="state"), EVA)
        assert result.record is not None
        return result.record

    def granted_w(self, evse_id: str = E1) -> float:
        assert self.world.site.decision is not None
        return self.world.site.decision.grants[evse_id].power_w


@pytest.fixture
def bench(world: World, tmp_path: Path) -> Bench:
    world.charge(E1)
    return Bench(world, tmp_path / "discharge-tests.json")


async def test_a_passed_test_is_recorded_with_who_when_and_the_figures_and_leaves_no_order(bench: Bench) -> None:
    record = await bench.run()
    assert record.passed, record.reasons
    assert record.ac_w == pytest.approx(2000.0)
    assert record.efficiency == pytest.approx(0.98, abs=1e-3)
    assert (record.by, record.acknowledged_by, record.at[:4]) == ("eva", "Anna Kranz", "2023")
    kept = json.loads(bench.tests.path.read_text())[E1]
    assert (kept["acknowledged_by"], kept["passed"]) == ("Anna Kranz", True)
    assert [code for code, _ in bench.audited] == ["ACKNOWLEDGED", "DISCHARGE_TEST"]
    bench.world.run()
    assert bench.granted_w() == 0.0
    assert len(bench.world.site.book) == 0


async def test_a_low_efficiency_refuses_discharge_also_after_a_restart_until_a_test_is_passed(bench: Bench) -> None:
    bench.efficiency = 0.951
    record = await bench.run()
    assert not record.passed
    bench.world.run()
    result = await bench.world.discharge(evse_id=E1)
    assert result.granted_w == 0.0
    assert result.shortfalls[0].code == "LOW_EFFICIENCY"
    assert "its discharge test measured 95.1 %, less than 97 %" in result.shortfalls[0].source
    now_s = bench.world.clock.monotonic_s()
    assert any("no discharge: its discharge test" in problem for problem in status.problems(bench.world.site, now_s))
    again = DischargeTests(bench.tests.path)
    assert again.refusal(E1, accept_low=False)
    assert not again.refusal(E1, accept_low=True)
    assert not again.refusal(E2, accept_low=False)
    bench.world.site.book.cancel(None)
    bench.efficiency = 0.98
    assert (await bench.run()).passed
    bench.world.run()
    assert (await bench.world.discharge(evse_id=E1)).granted_w == -10_000.0


def without_permit(bench: Bench) -> None:
    bench.world.guard.changes.update(permit=Permit.LOCKOUT, locked_by="anna")


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda bench: bench.world.site.book.cancel(None), "was cancelled or replaced"),
        (without_permit, "locked out by anna"),
        (lambda bench: setattr(bench.world.site, "stopping", True), "the controller stops"),
        (lambda bench: bench.world.wires.evses[E1].update(fault="fan"), "fan"),
    ],
)
async def test_what_interrupts_it_is_recorded_and_ends_the_power(
    bench: Bench, harm: Callable[[Bench], Awaitable[None] | None], reason: str
) -> None:
    bench.during = lambda: harm(bench)  # type: ignore[assignment,return-value]
    record = await bench.run()
    assert not record.passed
    assert record.reasons[0].startswith("interrupted: ")
    assert reason in record.reasons[0]
    assert len(bench.world.site.book) == 0
    assert not bench.tests.refusal(E1, accept_low=False), "nothing was measured"


async def test_a_crash_leaves_no_order_of_a_test_behind(bench: Bench) -> None:
    book, now_s = bench.world.site.book, bench.world.clock.monotonic_s()
    await bench.start()
    await bench.world.discharge(evse_id=E2)
    assert [order.evse_id for order in book.standing(now_s)] == [E1, E2]
    assert [order.evse_id for order in bench.api.lasting(book.standing(now_s))] == [E2]
    await bench.api.close()
    await bench.world.discharge(evse_id=E1)
    assert len(bench.api.lasting(book.standing(now_s))) == 2


async def test_a_test_that_is_not_passed_lifts_no_refusal(bench: Bench) -> None:
    bench.efficiency = 0.9
    await bench.run()
    bench.during = lambda: bench.world.site.book.cancel(None)  # type: ignore[assignment,return-value]
    bench.efficiency = 0.98
    await bench.run()
    assert "measured 90.0 %" in bench.tests.refusal(E1, accept_low=False)
    kept = DischargeTests(bench.tests.path)
    assert "measured 90.0 %" in kept.refusal(E1, accept_low=False)
    record = kept.get(E1)
    assert record is not None
    assert "interrupted" in record.reasons[0]
    assert "holds" in record.remarks[-1]


async def test_an_order_that_is_not_granted_whole_is_no_test_of_the_inverter(bench: Bench) -> None:
    record = await bench.run(power_w=20_000.0)
    assert record.reasons[0] == "interrupted: only 11.64 kW is granted: vehicle power limit"


async def test_an_abort_ends_it(bench: Bench) -> None:
    await bench.start()
    result = await bench.api.step(DischargeTestParams(step="abort"), EVA)
    assert not result.running
    assert result.record is not None
    assert result.record.reasons[0] == "interrupted: aborted by eva"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"acknowledge": ""}, "NOT_ACKNOWLEDGED"),
        ({"evse_id": "US*V2G*E9"}, "UNKNOWN_EVSE"),
        ({"evse_id": E2}, "NO_VEHICLE"),
        ({"power_w": float("nan")}, "BAD_TEST"),
        ({"power_w": 10.0}, "BAD_TEST"),
        ({"power_w": 1e9}, "BAD_TEST"),
        ({"duration_s": 1e9}, "BAD_TEST"),
        ({"step": "jump"}, "BAD_STEP"),
        ({"step": "state"}, "NO_TEST"),
    ],
)
async def test_what_cannot_be_tested_is_refused_and_nothing_is_ordered(
    bench: Bench, changes: dict[str, Any], code: str
) -> None:
    with pytest.raises(Refused) as refused:
        await bench.start(**changes)
    assert refused.value.code == code
    assert len(bench.world.site.book) == 0


async def test_neither_an_order_nor_another_test_is_pushed_aside(bench: Bench) -> None:
    await bench.world.discharge(evse_id=E1)
    with pytest.raises(Refused, match="v2g-control cancel 1 first"):
        await bench.start()
    bench.world.site.book.cancel(None)
    await bench.start()
    with pytest.raises(Refused) as refused:
        await bench.start()
    assert refused.value.code == "BUSY"
    await bench.api.close()


async def test_nothing_is_tested_without_a_permit(bench: Bench) -> None:
    without_permit(bench)
    bench.world.run()
    with pytest.raises(Refused, match="locked out by anna"):
        await bench.start()


async def test_records_that_cannot_be_read_refuse_every_evse_and_are_not_written_over(
    world: World, tmp_path: Path
) -> None:
    path = tmp_path / "discharge-tests.json"
    path.write_text("{")
    world.charge(E1)
    bench = Bench(world, path)
    assert "cannot be read" in bench.tests.refusal(E1, accept_low=True)
    result = await bench.start()
    while result.running:
        await asyncio.sleep(0)
        result = await bench.api.step(DischargeTestParams(step="state"), EVA)
    assert result.recorded_in == ""
    assert path.read_text() == "{"
    assert bench.tests.refusal(E1, accept_low=False)


def test_a_record_reads_back(tmp_path: Path) -> None:
    record = DischargeTestRecord(
        evse_id=E1, at="", by="eva", acknowledged_by="Anna", passed=False, reasons=("x",), order_w=2000.0, ac_w=None,
        dc_w=None, efficiency=None, deviation=None, reversion_armed=True, islanding_watched=True, samples=0,
        duration_s=30.0,
    )  # fmt: skip
    tests = DischargeTests(tmp_path / "tests.json")
    tests.put(record)
    tests.put(msgspec.structs.replace(record, evse_id=E2))
    again = DischargeTests(tmp_path / "tests.json")
    assert (again.get(E1), again.refusal(E1, False)) == (record, "")
    assert again.get(E2) is not None
