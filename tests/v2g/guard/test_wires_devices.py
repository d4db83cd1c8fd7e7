"""The pace of one device's task: changes, readings that must not starve, and powers too near to be written at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from v2g.clock import ManualClock
from v2g.guard.wires_core import STALE_S
from v2g.guard.wires_dc import _near, _nearly_the_same
from v2g.guard.wires_devices import Actuator, Pace
from v2g.hardware.modbus import LinkState
from v2g.hardware.ports import InverterCommand


@dataclass
class Link:
    """What an actuator asks of its link while all goes well."""

    name: str = "inverter"
    endpoint: str = "x"
    retry_at_s: float = 0.0
    state: LinkState = field(default_factory=lambda: LinkState(online=True))


class Device:
    """Takes ``request_s`` of injected time for each write and each read."""

    def __init__(self, request_s: float, near: Callable[[float, float], bool] | None = None) -> None:
        self.clock = ManualClock(100.0)
        self.request_s = request_s
        self.written: list[float] = []
        self.read_at_s: list[float] = [self.clock.monotonic_s()]
        self.after_write: Callable[[float], None] = lambda power_w: None
        extra = () if near is None else (near,)
        self.actuator: Actuator[float, float] = Actuator(
            Link(),  # type: ignore[arg-type]
            self.clock, self.write, self.read, self.read_at_s.append, Pace(0.2, 0.4, 0.8), *extra,
        )  # fmt: skip
        self.actuator.busy = True

    async def write(self, power_w: float) -> None:
        self.clock.advance(self.request_s)
        self.written.append(power_w)
        self.after_write(power_w)
        await asyncio.sleep(0)

    async def read(self) -> float:
        started_s = self.clock.monotonic_s()
        self.clock.advance(self.request_s)
        await asyncio.sleep(0)
        return started_s

    async def run(self, until: Callable[[], object]) -> None:
        task = asyncio.create_task(self.actuator.run())
        try:
            async with asyncio.timeout(5.0):
                while not until():
                    await asyncio.sleep(0)
        finally:
            task.cancel()

    async def turns(self, act: Callable[[], Awaitable[None]]) -> None:
        task = asyncio.create_task(self.actuator.run())
        try:
            await act()
        finally:
            task.cancel()

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)


@pytest.mark.parametrize("request_s", [0.02, 0.1, 0.2])
async def test_readings_come_while_the_set_point_changes_all_the_time(request_s: float) -> None:
    device = Device(request_s)
    device.after_write = lambda power_w: device.actuator.want(power_w - 100.0)
    device.actuator.want(-1000.0)
    await device.run(lambda: device.clock.monotonic_s() > 110.0)
    gaps = [later - earlier for earlier, later in zip(device.read_at_s, device.read_at_s[1:], strict=False)]
    assert len(gaps) >= 10
    assert max(gaps) < STALE_S
    assert len(device.written) >= len(device.read_at_s) - 1, "a change is not put off for more than one reading"


async def test_a_power_near_to_what_the_device_holds_waits_for_the_refresh() -> None:
    device = Device(0.01, _near)

    async def act() -> None:
        device.actuator.want(-10_000.0)
        await device.settle()
        for step in range(1, 4):
            device.actuator.want(-10_000.0 - 5.0 * step)
            await device.settle()
        assert device.written == [-10_000.0]
        assert not device.actuator.settled
        device.actuator.want(-10_021.0)
        await device.settle()
        assert device.written == [-10_000.0, -10_021.0], "small steps add up"
        device.actuator.want(0.0)
        await device.settle()
        assert device.written[-1] == 0.0

    await device.turns(act)


async def test_the_refresh_writes_the_exact_power() -> None:
    device = Device(0.01, _near)
    device.actuator.want(-10_000.0)
    await device.run(lambda: device.written)
    device.actuator.want(-10_005.0)
    device.clock.advance(0.8)
    await device.run(lambda: len(device.written) > 1)
    assert device.written == [-10_000.0, -10_005.0]


async def test_a_power_that_drifts_during_each_write_is_not_written_without_pause() -> None:
    device = Device(0.05, _near)
    device.after_write = lambda power_w: device.actuator.want(power_w - 1.0)
    device.actuator.want(-10_000.0)
    await device.run(lambda: len(device.read_at_s) > 1)
    assert device.written == [-10_000.0]


@pytest.mark.parametrize(
    ("held_w", "wanted_w", "near"),
    [
        (-10_000.0, -10_020.0, True),
        (-10_000.0, -9_979.0, False),
        (300.0, 310.0, True),
        (300.0, 311.0, False),
        (5.0, -5.0, False),
        (5.0, 0.0, False),
        (0.0, 5.0, False),
    ],
)
def test_only_powers_of_one_sign_are_near(held_w: float, wanted_w: float, near: bool) -> None:
    assert _near(held_w, wanted_w) is near


@pytest.mark.parametrize(
    ("held_var", "wanted_var", "near"),
    [(None, None, True), (None, 0.0, False), (0.0, None, False), (500.0, 505.0, True), (500.0, 0.0, False)],
)
def test_a_reactive_power_that_changes_is_written_too(
    held_var: float | None, wanted_var: float | None, near: bool
) -> None:
    held = InverterCommand(power_w=-9_000.0, reactive_var=held_var)
    assert _nearly_the_same(held, InverterCommand(power_w=-9_005.0, reactive_var=wanted_var)) is near
