"""An AC EVSE under ``AcCore``: leases and readings that are renewed in steps of 0.1 s."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec

from support.wires import guard
from v2g.guard.ac_core import AcCore, AcEvseLimits, AcTarget
from v2g.guard.link import EvseSetpoint, PowerSetpoint
from v2g.hardware.ports import AcEvseCommand, AcEvseReading, PilotReading

E1 = "US*V2G*A1"
T0 = 1000.0
LIMITS = AcEvseLimits(
    E1, phases=3, rotation="abc", max_current_a=32.0, max_charge_w=22_000, max_discharge_w=11_000, allow_discharge=True
)
CLOSE = AcEvseCommand(close_contactor=True, lock_connector=True, pilot_duty_pct=5.0)
OPEN = AcEvseCommand(lock_connector=True, pilot_duty_pct=5.0)
PILOT = PilotReading(high_v=6.0, low_v=-12.0, duty_pct=5.0, frequency_hz=1000.0, earth_ohm=0.5)


def reading(total_w: float = 0.0, **changes: Any) -> AcEvseReading:
    healthy = AcEvseReading(
        evse_id=E1, as_of_s=T0, contactor_closed=True, contactor_commanded=True, plugged=True, connector_locked=True,
        voltage_v=(230.0,) * 3, current_a=(abs(total_w) / 690.0,) * 3, power_w=(total_w / 3,) * 3, max_current_a=32.0,
        pilot=PILOT,
    )  # fmt: skip
    return msgspec.structs.replace(healthy, **changes)


class Hand:
    """Renews the leases and the reading in steps of 0.1 s."""

    def __init__(self, power_w: float = 6_000.0, *, mains_input: bool = True, **limits: Any) -> None:
        self.core = AcCore([replace(LIMITS, **limits)], T0 - 100, mains_input=mains_input)
        self.now_s = T0
        self.power_w = power_w
        self.command = CLOSE
        self.measured: dict[str, Any] = {"total_w": power_w}
        self.view = guard()
        self.target = self.step(0.5)

    def step(self, seconds: float = 0.1) -> AcTarget:
        for _ in range(round(seconds / 0.1)):
            self.now_s += 0.1
            lease = {"evse_id": E1, "source": "test", "expires_at_s": self.now_s + 1.0}
            self.core.lease_power(PowerSetpoint(power_w=self.power_w, **lease), self.now_s)
            self.core.lease_evse(EvseSetpoint(command=self.command, **lease), self.now_s)
            self.core.observe(reading(as_of_s=self.now_s, **self.measured))
            self.target = self.decide()
        return self.target

    def decide(self, after_s: float = 0.0) -> AcTarget:
        return self.core.decide(self.view, self.now_s + after_s)[E1]

    @property
    def closed(self) -> bool:
        assert self.target.command is not None
        return self.target.command.close_contactor

    @property
    def bound_by(self) -> str | None:
        return self.target.applied.bound_by
