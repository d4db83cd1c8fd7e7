"""Polled meters: signs and phases, loss and return, and answers that come late."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from support.sunspec_devices import wye_meter
from v2g.clock import ManualClock, SystemClock
from v2g.config.schema_evse import ModbusAddress
from v2g.config.schema_meters import Meter
from v2g.hardware.modbus import LinkTiming, ModbusEndpoint, ModbusLink
from v2g.hardware.ports import DeviceError
from v2g.hardware.sunspec.meter import MeterReading
from v2g.utility.meter_book import MeterBook
from v2g.utility.meter_poll import MeterPoll, on_bus, timing
from v2g.utility.meter_reading import MeterSpec
from v2g.utility.meter_view import MeterLine


def a_meter(**changes: Any) -> Meter:
    return Meter(id="c1", modbus=ModbusAddress(host="127.0.0.1"), **changes)


def told(legs: int = 3, **changes: Any) -> MeterReading:
    powers = {1: (600.0, 0.0, 0.0), 2: (100.0, 200.0, 0.0), 3: (100.0, 200.0, 300.0)}
    values: dict[str, Any] = {
        "as_of_s": 0.0, "model": 200 + legs, "wiring": "wye", "legs": legs, "power_w": powers[legs],
        "reactive_var": None,
    }  # fmt: skip
    return MeterReading(**(values | changes))


@pytest.mark.parametrize(
    ("legs", "changes", "bus"),
    [
        (3, {}, (100.0, 200.0, 300.0)),
        (3, {"rotation": "cab"}, (200.0, 300.0, 100.0)),
        (3, {"import_is_positive": False}, (-100.0, -200.0, -300.0)),
        (2, {"rotation": "bca"}, (0.0, 100.0, 200.0)),
        (2, {"rotation": "b"}, (0.0, 300.0, 0.0)),
        (1, {"rotation": "c"}, (0.0, 0.0, 600.0)),
    ],
)
def test_a_meters_phases_and_sign_become_the_buss(legs: int, changes: dict[str, Any], bus: tuple[float, ...]) -> None:
    assert on_bus(told(legs), a_meter(**changes)) == (bus, "")


def test_a_single_phase_meter_with_three_letters_is_taken_to_be_on_the_first_and_said() -> None:
    power_w, remark = on_bus(told(1), a_meter(rotation="bca"))
    assert power_w == (0.0, 600.0, 0.0)
    assert remark == "it has one phase, taken to be b of the bus; say so with rotation: b"


def test_three_phases_on_one_letter_are_a_contradiction() -> None:
    with pytest.raises(DeviceError, match=r"meter c1 has three phases \(wye, model 203\), and its rotation is 'a'"):
        on_bus(told(3), a_meter(rotation="a"))


def test_reconnecting_comes_within_max_age() -> None:
    assert timing(a_meter(max_age_s=10.0)).backoff_max_s == 5.0
    assert timing(a_meter(max_age_s=3600.0)).backoff_max_s == 30.0


class Polled:
    """A meter behind a real server, and the poll that reads it."""

    def __init__(self, served: Any, clock: SystemClock) -> None:
        quick = LinkTiming(request_timeout_s=0.5, connect_timeout_s=5.0, backoff_first_s=0.0, backoff_max_s=0.0)
        self.served = served
        self.clock = clock
        self.book = MeterBook([MeterSpec(id="c1", max_age_s=30.0, rated_w=15_000.0)])
        self.link = ModbusLink("meter c1", ModbusEndpoint("127.0.0.1", served.port), clock, lambda: 0.5, quick)
        self.poll = MeterPoll(a_meter(), self.link, self.book, clock, lambda: 0.5)

    async def read(self) -> None:
        await self.poll.once()

    def line(self) -> MeterLine:
        return self.book.view(self.clock.monotonic_s(), self.clock.unix_s(), None).lines[0]


@pytest.fixture
async def polled(serve: Any) -> AsyncIterator[Polled]:
    made = Polled(await serve(wye_meter(500)), SystemClock())
    yield made
    await made.link.close()


async def test_a_meter_is_read_over_the_wire(polled: Polled) -> None:
    await polled.read()
    assert polled.line().power_w == (500.0, 500.0, 500.0)
    assert polled.line().problem == ""
    assert polled.served.functions == {3}


async def test_a_meter_that_vanishes_says_so_and_comes_back(polled: Polled) -> None:
    await polled.read()
    await polled.served.stop()
    await polled.read()
    assert "meter c1 at 127.0.0.1" in polled.line().problem
    assert polled.line().power_w == (500.0, 500.0, 500.0)
    await polled.served.start()
    for _ in range(3):
        await polled.read()
    assert polled.line().problem == ""


async def test_a_late_answer_is_never_taken_for_the_next(polled: Polled) -> None:
    await polled.read()
    polled.served.delay_s = 0.8
    await polled.read()
    assert "no answer in 0.5 s" in polled.line().problem
    polled.served.delay_s = 0.0
    polled.served.device = wye_meter(700)
    await polled.read()
    assert polled.line().power_w == (700.0, 700.0, 700.0)
    assert polled.served.connections == 2


async def test_a_silent_device_is_asked_at_the_meters_pace_and_no_faster(clock: ManualClock, memory_link: Any) -> None:
    book = MeterBook([MeterSpec(id="c1", max_age_s=30.0, rated_w=15_000.0)])
    pauses: list[float] = []

    class Enough(Exception):
        pass

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        clock.advance(seconds)
        if len(pauses) == 6:
            raise Enough

    link = memory_link(wye_meter(500))
    link.retry_at_s, link.lose = 0.0, 3
    with pytest.raises(Enough):
        await MeterPoll(a_meter(poll_s=5.0), link, book, clock, lambda: 0.5, pause).run()
    assert not link.state.online
    assert pauses == [2.5, *[5.0] * 5]
    line = book.view(clock.monotonic_s(), clock.unix_s(), None).lines[0]
    assert (line.power_w, line.age_s) == ((500.0, 500.0, 500.0), 5.0)
