"""What ``wires`` tells of one DC EVSE's inverter: events, set-points that are not taken, reversion, functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from support.wires import E1, LIMITS, T0, inverter
from v2g.clock import ManualClock
from v2g.config.schema import Config, DcEvse
from v2g.grid.support import SupportSettings, VoltWatt
from v2g.guard.link import Applied
from v2g.guard.wires_core import Target, WiresCore
from v2g.guard.wires_dc import DcEvseDevices
from v2g.guard.wires_settings import WiresSettings
from v2g.hardware.inverter_driver import DeviceSettings
from v2g.hardware.modbus import LinkState
from v2g.hardware.ports import DcEvseCommand
from v2g.telemetry import logs

EVSE = {
    "id": E1,
    "kind": "DC",
    "interface": "lo",
    "inverter": {"modbus": {"host": "10.0.0.1"}},
    "dc": {"modbus": {"host": "10.0.0.2"}},
}
SITE = {
    "site": {"id": "test"}, "transformer": {"id": "T1", "rated_kva": 250}, "grid": {"nominal_voltage_v": 277},
    "evses": [EVSE],
}  # fmt: skip


class Driver:
    """Says what it is told to say."""

    def __init__(self) -> None:
        self.reversion_problem: str | None = None
        self.setpoint_problem: str | None = None
        self.lacks: Mapping[str, str] | None = {}
        self.takes_reactive_power = False
        self.apparent_rating_va = 20_000.0
        self.configured: list[DeviceSettings] = []

    def configure(self, settings: DeviceSettings) -> None:
        self.configured.append(settings)

    async def apply(self, command: object) -> None: ...

    async def read(self) -> None: ...

    async def close(self) -> None: ...


class Output(Driver):
    watchdog_s = 3.0
    signals_pilot_error = False


class Link:
    name, endpoint, retry_at_s = "inverter", "x", 0.0

    def __init__(self) -> None:
        self.state = LinkState(online=True)


class Bench:
    def __init__(self, log_dir: Path) -> None:
        logs.configure(log_dir)
        (evse,) = msgspec.convert(SITE, Config).evses
        assert isinstance(evse, DcEvse)
        self.driver = Driver()
        self.decided: list[str] = []
        self.log = log_dir / "comms.log"
        link: Any = Link()
        driver: Any = self.driver
        output: Any = Output()
        self.devices = DcEvseDevices(
            evse, WiresCore([LIMITS], T0 - 100), driver, link, output, link,
            WiresSettings(device=DeviceSettings(support=SupportSettings())), ManualClock(T0), self.decided.append,
            lambda told: told,
        )  # fmt: skip

    def reads(self, **changes: Any) -> list[str]:
        """What the log gets by one reading: level, code and message without time."""
        before = self._lines()
        self.devices._on_inverter(inverter(**changes))
        return self._lines()[len(before) :]

    def _lines(self) -> list[str]:
        return [line.partition(" ")[2] for line in self.log.read_text().splitlines()] if self.log.exists() else []


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_each_reading_is_decided_upon(bench: Bench) -> None:
    bench.reads()
    bench.reads()
    assert bench.decided == [E1, E1]


def test_a_state_is_told_when_it_changes_and_once(bench: Bench) -> None:
    assert bench.reads(state="RUNNING") == [f'INFO: INVERTER_STATE inverter {E1}: RUNNING evse={E1} before="not told"']
    assert bench.reads(state="RUNNING") == []
    assert bench.reads(state="FAULT") == [f"INFO: INVERTER_STATE inverter {E1}: FAULT evse={E1} before=RUNNING"]


def test_a_state_that_is_not_told_for_a_while_is_no_change(bench: Bench) -> None:
    bench.reads(state="RUNNING")
    assert bench.reads(state="") == []
    assert bench.reads(state="RUNNING") == []


def test_alarms_are_told_when_they_come_and_when_they_go(bench: Bench) -> None:
    assert bench.reads(alarms=("OVER_TEMP", "MEMORY_LOSS")) == [
        f"WARNING: INVERTER_ALARM inverter {E1}: OVER_TEMP evse={E1}",
        f"WARNING: INVERTER_ALARM inverter {E1}: MEMORY_LOSS evse={E1}",
    ]
    assert bench.reads(alarms=("MEMORY_LOSS",)) == [
        f"INFO: INVERTER_ALARM_GONE inverter {E1}: OVER_TEMP is gone evse={E1}"
    ]


@pytest.mark.parametrize(
    ("name", "first", "after"),
    [
        ("setpoint_problem", "ERROR: SETPOINT_NOT_TAKEN", "INFO: SETPOINT_TAKEN"),
        ("reversion_problem", "WARNING: NO_REVERSION", "INFO: REVERSION_ARMED"),
    ],
)
def test_what_stops_the_power_is_told_with_its_reason_once_and_its_end_too(
    bench: Bench, name: str, first: str, after: str
) -> None:
    assert bench.reads() == []
    setattr(bench.driver, name, "5000 W written, 0 W read back")
    (line,) = bench.reads()
    assert line.startswith(first)
    assert "5000 W written, 0 W read back" in line
    assert bench.reads() == []
    setattr(bench.driver, name, None)
    (line,) = bench.reads()
    assert line.startswith(after)
    assert bench.reads() == []


def test_a_set_point_problem_whose_powers_change_is_told_once(bench: Bench) -> None:
    tell: Callable[[str], None] = lambda text: setattr(bench.driver, "setpoint_problem", text)  # noqa: E731
    tell("5000 W written")
    assert len(bench.reads()) == 1
    tell("6000 W written")
    assert bench.reads() == []


def test_a_function_that_is_lacking_is_computed_and_told_and_told_again_when_it_is_there(bench: Bench) -> None:
    support = SupportSettings(frequency_droop=None, volt_watt=VoltWatt())
    settings = WiresSettings(device=DeviceSettings(support=support))
    bench.devices.adopt(settings)
    assert bench.driver.configured == [settings.device]
    bench.driver.lacks = {"volt_watt": "it has no 706", "ramp_rate": "it has no WRmp"}
    lines = bench.reads()
    assert lines == [
        f"WARNING: FUNCTION_LACKING inverter {E1}: no volt_watt: it has no 706; computed and commanded by v2g-guard "
        f"wires instead evse={E1}",
        f"WARNING: FUNCTION_LACKING inverter {E1}: no ramp_rate: it has no WRmp; not done evse={E1}",
    ]
    assert bench.devices.inverter.watch.lacks == ("ramp_rate", "volt_watt")
    assert bench.reads() == []
    bench.driver.lacks = {"ramp_rate": "it has no WRmp"}
    assert bench.reads() == [f"INFO: FUNCTION_CONFIGURED inverter {E1} does volt_watt again evse={E1}"]


def test_a_device_that_tells_no_rating_yet_has_its_functions_looked_at_later(bench: Bench) -> None:
    bench.driver.lacks = {"volt_watt": "it has no 706"}
    assert bench.reads(max_charge_w=0.0, max_discharge_w=0.0) == []
    assert len(bench.reads()) == 1


def test_a_device_that_cannot_signal_state_f_is_told_once_and_gets_its_command(bench: Bench) -> None:
    applied = Applied(evse_id=E1, power_w=0.0, source="", bound_by=None)
    bench.devices.command(Target(applied, DcEvseCommand()))
    assert bench._lines() == []
    for _ in range(2):
        bench.devices.command(Target(applied, DcEvseCommand(pilot_error=True)))
    (line,) = bench._lines()
    assert line.startswith(f"WARNING: PLC_PILOT {E1}: state F cannot be put on the pilot: the register map")
    assert bench.devices.output._wanted == DcEvseCommand(pilot_error=True)
