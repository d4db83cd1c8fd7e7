"""All of ``wires`` against real Modbus servers: latency, isolation of devices, leases, permit, the end."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from support.sensors import entry
from v2g.clock import SystemClock
from v2g.config.loader import Loaded
from v2g.config.paths import RunPaths, run_paths
from v2g.config.schema import Config
from v2g.config.sensors import parse_sensor_map
from v2g.grid.settings import Operation
from v2g.grid.support import SupportSettings
from v2g.guard.link import LATENCY_EDGES_S, EvseSetpoint, Image, PowerSetpoint, Setpoints
from v2g.guard.link_client import WiresClient
from v2g.guard.status import GuardStatus, Permit
from v2g.guard.wires import Wires
from v2g.guard.wires_settings import WiresSettings
from v2g.hardware.inverter_driver import DeviceSettings
from v2g.hardware.ports import DcEvseCommand, Quantity
from v2g.hardware.registers import Table
from v2g.host.notify import Notifier

pytestmark = pytest.mark.soak

LOADED = DcEvseCommand(target_voltage_v=400, current_limit_a=40, close_contactors=True, lock_connector=True)


class Permits:
    def __init__(self) -> None:
        self.permit = Permit.GRANTED
        self.operation = Operation.CONTINUOUS
        self.frequency_hz: float | None = 60.0

    def read(self, now_s: float) -> GuardStatus:
        return GuardStatus(
            as_of_s=now_s,
            permit=self.permit,
            breaker_commanded_closed=True,
            breaker_closed=True,
            service_fraction=1.0,
            operation=int(self.operation),
            v_pu=(1.0, 1.0, 1.0),
            frequency_hz=self.frequency_hz,
        )


class Site:
    """Two EVSEs, transducers, ``wires`` as a task, and an orchestrator that renews leases while it is told to."""

    def __init__(
        self, run_dir: Path, inverters: list[Any], outputs: list[Any], sensors: Any, polls_s: tuple[float, float]
    ) -> None:
        self.polls_s = polls_s
        self.inverters, self.outputs, self.sensors = inverters, outputs, sensors
        self.permits = Permits()
        self.stop = asyncio.Event()
        self.power_w: dict[str, float] = {}
        self.commands: dict[str, DcEvseCommand] = {}
        self.lease_s = 0.5
        self._sequence = 0
        config = self.config(run_dir)
        paths: RunPaths = run_paths(config)
        text = "sensors:\n" + entry("top_oil_c", "127.0.0.1", sensors.port, 0)
        text += entry("ambient_c", "127.0.0.1", sensors.port, 1)
        self.site_config, self.sensor_text = config, text
        settings = WiresSettings(device=DeviceSettings(support=SupportSettings()))
        self.wires = Wires(
            config,
            paths,
            parse_sensor_map(text),
            self.permits,
            config_dir=run_dir,
            clock=SystemClock(),
            notifier=Notifier({}),
            jitter=lambda: 0.5,
            settings=settings,
            load_settings=lambda: settings,
            load_site=self.load_site,
        )
        self.client = WiresClient(paths.wires_sock)

    def load_site(self) -> Loaded:
        return Loaded(self.site_config, {}, Path(), sensors=parse_sensor_map(self.sensor_text))

    def config(self, run_dir: Path) -> Config:
        def modbus(served: Any) -> dict[str, Any]:
            return {"host": "127.0.0.1", "port": served.port}

        evses = [
            {
                "id": f"US*V2G*E{n + 1}",
                "kind": "DC",
                "interface": "lo",
                "inverter": {"modbus": modbus(inverter), "poll_s": self.polls_s[n]},
                "dc": {"modbus": modbus(output)},
            }
            for n, (inverter, output) in enumerate(zip(self.inverters, self.outputs, strict=True))
        ]
        return msgspec.convert(
            {
                "site": {"id": "test"},
                "transformer": {"id": "T1", "rated_kva": 250},
                "grid": {"nominal_voltage_v": 277},
                "evses": evses,
                "paths": {"run_dir": str(run_dir)},
            },
            Config,
        )

    async def orchestrate(self) -> None:
        while True:
            self.send()
            await asyncio.sleep(0.1)

    def send(self) -> None:
        now_s = time.monotonic()
        self._sequence += 1
        expires_at_s = now_s + self.lease_s
        self.client.send(
            Setpoints(
                sequence=self._sequence,
                sent_at_s=now_s,
                powers=tuple(
                    PowerSetpoint(evse_id=e, power_w=w, source="order", expires_at_s=expires_at_s)
                    for e, w in self.power_w.items()
                ),
                evses=tuple(
                    EvseSetpoint(evse_id=e, command=c, source="session", expires_at_s=expires_at_s)
                    for e, c in self.commands.items()
                ),
            )
        )

    def order(self, power_w: float) -> None:
        for n in range(len(self.inverters)):
            self.power_w[f"US*V2G*E{n + 1}"] = power_w
            self.commands[f"US*V2G*E{n + 1}"] = LOADED
        self.send()

    def set_point_w(self, n: int) -> float:
        """What the device holds, in our sign."""
        return -(self.inverters[n].device.point(704, "WSet") or 0.0)

    @property
    def image(self) -> Image:
        assert self.client.image is not None
        return self.client.image

    async def until(self, condition: Callable[[], object], within_s: float = 3.0) -> float:
        start_s = time.monotonic()
        async with asyncio.timeout(within_s):
            while not condition():
                await asyncio.sleep(0.002)
        return time.monotonic() - start_s

    async def discharging(self, power_w: float = -9_000.0) -> None:
        await self.until(lambda: self.client.image and len(self.image.inverters) == len(self.inverters))
        await self.until(lambda: all(i.reversion_armed for i in self.image.inverters), 6.0)
        self.order(power_w)
        await self.until(lambda: all(self.set_point_w(n) == power_w for n in range(len(self.inverters))))


@pytest.fixture
async def site(
    request: pytest.FixtureRequest, tmp_path: Path, serve: Any, fake_inverter: Any, fake_evse: Any, registers: Any
) -> AsyncIterator[Site]:
    # The countdown is shown 2.5 times as fast, so that a test does not wait a second for the proof of reversion.
    def shown(remaining_s: float) -> int:
        return max(0, math.ceil(3 - (3 - remaining_s) * 2.5))

    inverters = [await serve(fake_inverter(SystemClock(), rounding=shown)) for _ in range(2)]
    outputs = [await serve(fake_evse()) for _ in range(2)]
    registers.tables[Table.INPUT][:2] = [655, 215]
    site = Site(tmp_path, inverters, outputs, await serve(registers), getattr(request, "param", (0.2, 0.2)))
    wires = asyncio.create_task(site.wires.run(site.stop))
    await site.client.start()
    orchestrator = asyncio.create_task(site.orchestrate())
    yield site
    orchestrator.cancel()
    await site.client.close()
    site.stop.set()
    await asyncio.wait_for(wires, 5.0)


@pytest.mark.parametrize("site", [(0.1, 0.5)], indirect=True)
async def test_each_inverter_with_a_vehicle_is_read_at_its_own_pace(site: Site) -> None:
    await site.discharging()
    read: tuple[set[float], set[float]] = set(), set()
    ends_s = time.monotonic() + 2.0
    while time.monotonic() < ends_s:
        for times, reading in zip(read, site.image.inverters, strict=True):
            times.add(reading.as_of_s)
        await asyncio.sleep(0.02)
    assert len(read[0]) >= 12
    assert 3 <= len(read[1]) <= 6
    assert [a.bound_by for a in site.image.applied] == [None, None]


async def test_an_order_reaches_the_device_at_once_and_the_image_tells_of_it(site: Site) -> None:
    await site.discharging(-9_000.0)
    site.order(-8_000.0)
    # At once means: not with the next refresh, 0.8 s later.
    assert await site.until(lambda: site.set_point_w(0) == site.set_point_w(1) == -8_000.0) < 0.4
    await site.until(lambda: all(i.power_w == -8_000.0 for i in site.image.inverters))
    image = site.image
    assert image.permit
    assert [(a.power_w, a.source, a.bound_by) for a in image.applied] == [(-8_000.0, "order", None)] * 2
    assert {r.quantity: r.value for r in image.transducers} == {
        Quantity.TOP_OIL_C: pytest.approx(65.5),
        Quantity.AMBIENT_C: pytest.approx(21.5),
    }
    assert [d.name for d in image.devices if d.online] == [
        "inverter US*V2G*E1", "DC output US*V2G*E1", "inverter US*V2G*E2", "DC output US*V2G*E2", "transducers",
    ]  # fmt: skip
    assert all(e.contactors_closed for e in image.evses)
    assert {latency.kind for latency in image.latencies} == {"inverter", "DC output", "transducers"}
    assert all(len(latency.counts) == len(LATENCY_EDGES_S) + 1 for latency in image.latencies)
    assert all(sum(latency.counts) > 0 and latency.total_s > 0.0 for latency in image.latencies)


async def test_set_points_are_refreshed_so_that_reversion_does_not_act(site: Site) -> None:
    await site.discharging()
    before = [len(served.device.writes_to("WSetRvrtTms")) for served in site.inverters]
    await asyncio.sleep(1.8)
    after = [len(served.device.writes_to("WSetRvrtTms")) for served in site.inverters]
    assert all(b - a >= 2 for a, b in zip(before, after, strict=True))
    assert site.set_point_w(0) == -9_000.0


async def test_what_an_inverter_lacks_is_told_and_computed_instead(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.permits.frequency_hz = 60.336
    await site.until(lambda: site.client.image and all(i.reversion_armed for i in site.image.inverters), 6.0)
    site.order(-9_000.0)
    await site.until(lambda: abs((site.set_point_w(0) or 0.0) + 7_000) < 200, 12.0)
    assert {a.bound_by for a in site.image.applied} == {"frequency_droop"}
    assert site.image.devices[0].lacks == ("frequency_droop",)
    told = [line for line in capsys.readouterr().err.splitlines() if "FUNCTION_LACKING" in line]
    assert len(told) == 2
    assert "no frequency_droop: it has no SunSpec model 711; computed and commanded" in told[0]
    site.permits.frequency_hz = None
    site.permits.permit = Permit.TRIPPED
    assert await site.until(lambda: site.set_point_w(0) == site.set_point_w(1) == 0) < 0.4


async def test_momentary_cessation_is_zero_at_once_and_back_within_the_standards_time(site: Site) -> None:
    await site.discharging()
    site.permits.operation = Operation.MOMENTARY_CESSATION
    assert await site.until(lambda: site.set_point_w(0) == site.set_point_w(1) == 0) < 0.3
    await site.until(lambda: {a.bound_by for a in site.image.applied} == {"momentary_cessation"})
    site.permits.operation = Operation.CONTINUOUS
    assert await site.until(lambda: site.set_point_w(0) == site.set_point_w(1) == -9_000.0) < 0.4


async def test_a_breaker_that_did_not_open_opens_every_contactor(site: Site) -> None:
    await site.discharging()
    await site.until(lambda: all(e.contactors_closed for e in site.image.evses))
    site.permits.permit = Permit.BREAKER_FAILED
    assert await site.until(lambda: site.set_point_w(0) == site.set_point_w(1) == 0) < 0.3
    await site.until(lambda: not any(e.contactors_closed for e in site.image.evses), 2.0)
    assert {a.bound_by for a in site.image.applied} == {"breaker_failed"}


async def test_loss_of_permit_is_zero_at_once(site: Site) -> None:
    await site.discharging()
    site.permits.permit = Permit.TRIPPED
    assert await site.until(lambda: site.set_point_w(0) == site.set_point_w(1) == 0) < 0.4
    await site.until(lambda: site.image.permit_reason == "TRIPPED")
    assert {a.bound_by for a in site.image.applied} == {"no_permit"}


async def test_the_end_of_the_lease_is_zero_and_open_contactors(site: Site) -> None:
    await site.discharging()
    site.lease_s = 0.3
    site.send()
    site.power_w.clear()
    site.commands.clear()
    took_s = await site.until(lambda: site.set_point_w(0) == site.set_point_w(1) == 0)
    assert 0.2 < took_s < 1.2
    await site.until(lambda: not any(e.contactors_closed for e in site.image.evses))
    assert all(e.connector_locked for e in site.image.evses)


async def test_a_stalled_inverter_is_zeroed_by_rule_and_does_not_delay_the_other(site: Site) -> None:
    await site.discharging()
    site.inverters[0].silent = True
    await site.until(lambda: site.image.applied[0].bound_by == "stale_measurement")
    for power_w in (-5_000.0, -7_000.0, -9_000.0):
        site.order(power_w)
        assert await site.until(lambda w=power_w: site.set_point_w(1) == w) < 0.4
    health = site.image.devices[0]
    assert not health.online
    assert health.timeouts >= 1
    assert "no answer" in (health.error or "")
    site.inverters[0].silent = False
    await site.until(lambda: site.image.applied[0].bound_by is None, 8.0)
    await site.until(lambda: site.set_point_w(0) == -9_000.0)


async def test_a_dc_output_that_is_gone_ends_power_of_its_evse_only(site: Site) -> None:
    await site.discharging()
    await site.outputs[1].stop()
    await site.until(lambda: site.set_point_w(1) == 0)
    await site.until(lambda: site.image.applied[1].bound_by == "stale_measurement")
    assert site.set_point_w(0) == -9_000.0
    await site.outputs[1].start()
    await site.until(lambda: site.set_point_w(1) == -9_000.0, 6.0)


async def test_a_device_that_lies_is_told_by_name_and_the_others_are_served(site: Site) -> None:
    await site.discharging()
    site.inverters[0].device.before_read = lambda table: None
    site.inverters[0].device.put(701, "W", None)
    site.outputs[1].device.tables[Table.INPUT][0] = 4711
    await site.until(lambda: site.image.applied[0].bound_by == "stale_measurement")
    await site.until(lambda: site.image.applied[1].bound_by == "stale_measurement")
    errors = [d.error or "" for d in site.image.devices]
    assert any("no active power" in error for error in errors)
    assert any("it is no v2g-dc-evse: input register 0 is 4711" in error for error in errors)
    assert len(site.image.transducers) == 2


async def test_an_evse_that_wires_does_not_know_costs_the_others_nothing_and_is_told_once(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    await site.discharging()
    site.power_w["US*V2G*E9"], site.commands["US*V2G*E9"] = -1_000.0, LOADED
    site.order(-8_000.0)
    await site.until(lambda: site.set_point_w(0) == site.set_point_w(1) == -8_000.0)
    await asyncio.sleep(0.3)
    told = [line for line in capsys.readouterr().err.splitlines() if "SETPOINT_UNKNOWN_EVSE" in line]
    assert len(told) == 1
    assert "US*V2G*E9" in told[0]
    assert "systemctl restart v2g-guard-wires" in told[0]


async def test_a_dead_orchestrator_and_its_successor(site: Site) -> None:
    await site.discharging()
    successor = WiresClient(site.client._path)
    await site.client.close()
    await site.until(lambda: site.set_point_w(0) == 0)
    site.client = successor
    site._sequence = 0
    await successor.start()
    await site.until(lambda: site.set_point_w(0) == -9_000.0)


async def test_the_end_leaves_zero_power_and_open_contactors(site: Site) -> None:
    await site.discharging()
    site.stop.set()
    await site.until(lambda: not site.client.connected)
    assert [site.set_point_w(n) for n in (0, 1)] == [0, 0]
    assert not any(served.device.image.flag("contactors_closed") for served in site.outputs)


async def test_an_implausible_temperature_is_dropped_and_grows_old(site: Site, registers: Any) -> None:
    await site.until(lambda: site.client.image and len(site.image.transducers) == 2)
    registers.tables[Table.INPUT][0] = 0x7FFF
    first = next(r for r in site.image.transducers if r.quantity is Quantity.TOP_OIL_C)
    await asyncio.sleep(1.2)
    kept = next(r for r in site.image.transducers if r.quantity is Quantity.TOP_OIL_C)
    assert (kept.value, kept.as_of_s - first.as_of_s < 1.1) == (pytest.approx(65.5), True)


async def test_a_reload_changes_measurements_within_a_cycle_and_a_broken_file_changes_nothing(
    site: Site, registers: Any
) -> None:
    await site.until(lambda: site.client.image and len(site.image.transducers) == 2)
    before = next(r for r in site.image.transducers if r.quantity is Quantity.TOP_OIL_C).value
    good = site.sensor_text
    site.sensor_text = good.replace("scale: 0.1", "scale: 0")
    refused = await site.client.reload("alice")
    assert not refused.accepted
    assert "sensors.top_oil_c.scale: 0.0: would turn every value into the offset" in refused.message
    assert next(r for r in site.image.transducers if r.quantity is Quantity.TOP_OIL_C).value == before
    site.sensor_text = good.replace("scale: 0.1", "scale: 0.05", 1)
    accepted = await site.client.reload("alice")
    assert accepted.accepted, accepted.message
    await site.until(
        lambda: any(s.name == "top_oil_c" and s.value == pytest.approx(before / 2) for s in site.image.sensors), 1.0
    )
