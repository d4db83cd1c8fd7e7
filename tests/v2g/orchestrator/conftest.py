"""A site without hardware: devices that are a few lines each, behind the link's and the guard's interfaces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from support.control_world import E1, E2, World
from support.kept_log import KeptLog
from v2g.clock import Clock, ManualClock
from v2g.config.schema import Config
from v2g.guard.link import Image, Setpoints
from v2g.guard.status import GuardStatus, Permit
from v2g.hardware.ports import DcEvseReading, Insulation, InverterReading, Quantity, TransducerReading


def make_config(evses: int = 2, tcp_port: int = 15118, **evse_extra: object) -> Config:
    return msgspec.convert(
        {
            "site": {"id": "test"},
            "transformer": {"id": "T1", "rated_kva": 250.0},
            "grid": {"nominal_voltage_v": 277.0},
            "pki": {"allow_plain": True},
            "dispatch": {"default_mode": "idle", "ramp_pu_s": 10.0},
            "evses": [
                {
                    "id": f"US*V2G*E{n}",
                    "kind": "DC",
                    "interface": "lo",
                    "sdp_port": tcp_port + n - 1,
                    "tcp_port": tcp_port + n - 1,
                    "inverter": {"modbus": {"host": "127.0.0.1", "port": 1500 + n}},
                    "dc": {"modbus": {"host": "127.0.0.1", "port": 1600 + n}},
                    **evse_extra,
                }
                for n in range(1, evses + 1)
            ],
        },
        type=Config,
    )


class FakeWires:
    """Obeys set-points at once. ``frozen``: the link is up and its image no longer moves."""

    def __init__(self, evse_ids: tuple[str, ...], clock: Clock) -> None:
        self.connected = True
        self.frozen: Image | None = None
        self.sent: list[Setpoints] = []
        self.evses: dict[str, dict[str, object]] = {evse_id: {} for evse_id in evse_ids}
        self.inverters: dict[str, dict[str, object]] = {evse_id: {} for evse_id in evse_ids}
        self._clock = clock
        self._tests: dict[str, int] = {}

    def send(self, setpoints: Setpoints) -> bool:
        if not self.connected:
            return False
        self.sent.append(setpoints)
        del self.sent[:-1000]
        powers = {setpoint.evse_id: setpoint.power_w for setpoint in setpoints.powers}
        for setpoint in setpoints.evses:
            command, evse_id = setpoint.command, setpoint.evse_id
            self._tests[evse_id] = self._tests.get(evse_id, 0) + 1 if command.test_insulation else 0
            running = self._tests[evse_id]
            insulation = {0: Insulation.UNKNOWN, 1: Insulation.TESTING}.get(running, Insulation.VALID)
            voltage_v = min(command.target_voltage_v, 400.0) if command.close_contactors else 0.0
            power_w = powers[evse_id] if command.close_contactors else 0.0
            self.evses[evse_id] |= {
                "contactors_closed": command.close_contactors,
                "contactors_commanded": command.close_contactors,
                "connector_locked": command.lock_connector,
                "insulation": insulation,
                "present_voltage_v": voltage_v,
                "present_current_a": power_w / voltage_v if voltage_v else 0.0,
            }
            self.inverters[evse_id] |= {"power_w": power_w, "setpoint_w": powers[evse_id]}
        return True

    @property
    def image(self) -> Image | None:
        if not self.connected:
            return None
        if self.frozen is not None:
            return self.frozen
        now_s = self._clock.monotonic_s()
        evse = {
            "present_voltage_v": 0.0,
            "present_current_a": 0.0,
            "contactors_closed": False,
            "contactors_commanded": False,
            "insulation": Insulation.UNKNOWN,
            "insulation_ohm": 1e6,
            "connector_locked": False,
            "plugged": True,
            "max_voltage_v": 920.0,
            "min_voltage_v": 150.0,
            "max_current_a": 80.0,
            "max_power_w": 22_000.0,
        }
        inverter = {
            "power_w": 0.0,
            "max_charge_w": 22_000.0,
            "max_discharge_w": 22_000.0,
            "connected": True,
            "reversion_armed": True,
            "anti_islanding": True,
        }
        return Image(
            sequence=1,
            as_of_s=now_s,
            permit=True,
            permit_reason="",
            evses=tuple(
                DcEvseReading(**{"evse_id": i, "as_of_s": now_s, **evse, **changes})  # type: ignore[arg-type]
                for i, changes in self.evses.items()
            ),
            inverters=tuple(
                InverterReading(**{"evse_id": i, "as_of_s": now_s, **inverter, **changes})  # type: ignore[arg-type]
                for i, changes in self.inverters.items()
            ),
            transducers=(
                TransducerReading(quantity=Quantity.TOP_OIL_C, as_of_s=now_s, value=45.0),
                TransducerReading(quantity=Quantity.AMBIENT_C, as_of_s=now_s, value=25.0),
            ),
        )


class FakeGuard:
    """A guard that grants, until told otherwise by ``changes``."""

    def __init__(self) -> None:
        self.changes: dict[str, object] = {}

    def read(self, now_s: float) -> GuardStatus:
        fields: dict[str, object] = {
            "as_of_s": now_s,
            "permit": Permit.GRANTED,
            "breaker_commanded_closed": True,
            "breaker_closed": True,
            "v_pu": (1.0, 1.0, 1.0),
            "frequency_hz": 60.0,
            "transformer_w": 80_000.0,
            "transformer_va": 80_000.0,
            "measured": True,
            "load_measured": True,
            "service_fraction": 1.0,
        }
        return GuardStatus(**(fields | self.changes))  # type: ignore[arg-type]


@pytest.fixture
def config_of() -> Callable[..., Config]:
    return make_config


@pytest.fixture
def wires_of() -> type[FakeWires]:
    return FakeWires


@pytest.fixture
def guard() -> FakeGuard:
    return FakeGuard()


@pytest.fixture
def log_of() -> type[KeptLog]:
    return KeptLog


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def world(config_of: Callable[..., Config], wires_of: Any, guard: Any, log_of: Any, clock: ManualClock) -> World:
    config = config_of(2)
    return World(config, wires_of((E1, E2), clock), guard, log_of, clock)
