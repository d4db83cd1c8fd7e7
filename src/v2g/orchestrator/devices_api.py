"""The methods of the control socket about single devices: ``inverter.efficiency`` and ``pilot.check``."""

from __future__ import annotations

from typing import Any

from v2g.clock import Clock
from v2g.config.schema import DcEvse
from v2g.control import messages_devices as devices
from v2g.control.server import Caller, Method, Refused, Role
from v2g.guard.link import Image
from v2g.hardware.pilot import DIGITAL_DUTY_PCT, judge
from v2g.hardware.ports import AcEvseCommand, AcEvseReading, DcEvseReading, PilotState
from v2g.orchestrator.site import Site
from v2g.sessions.watch import STALE_AFTER_S

_PLUGGED = frozenset({PilotState.B, PilotState.C, PilotState.D})
_NO_READING = "v2g-guard wires has no reading of it: see v2g-tool status"
_NOTHING_YET = "nothing measured yet: it needs ten seconds of steady power above a tenth of its rating, AC and DC"
_NO_PILOT = "its register map has no pilot roles, and sensor_map.conf no pilot channels for it"


class DevicesApi:
    """What is asked for by an unknown EVSE raises :class:`Refused`."""

    def __init__(self, site: Site, clock: Clock) -> None:
        self._site = site
        self._clock = clock

    def methods(self) -> tuple[Method[Any], ...]:
        return (
            Method("inverter.efficiency", Role.VIEWER, devices.EfficiencyParams, self.efficiency),
            Method("pilot.check", Role.VIEWER, devices.PilotCheckParams, self.pilot_check),
        )

    async def efficiency(self, params: devices.EfficiencyParams, caller: Caller) -> devices.EfficiencyResult:
        config = self._site.config
        wanted = [evse.id for evse in config.dc_evses]
        if params.evse_id is not None:
            if any(evse.id == params.evse_id for evse in config.ac_evses):
                raise Refused(
                    f"{params.evse_id} is an AC EVSE: the inverter is the vehicle's, and its DC side is not measured",
                    code="NO_INVERTER",
                )
            wanted = [self._known(params.evse_id)]
        image = self._image()
        states = {} if image is None else {state.evse_id: state for state in image.efficiencies}
        ratings = {} if image is None else {r.evse_id: max(r.max_charge_w, r.max_discharge_w) for r in image.inverters}
        lines = []
        for evse_id in wanted:
            state, rated_w = states.get(evse_id), ratings.get(evse_id, 0.0)
            bands = state.bands if state is not None else ()
            lines.append(
                devices.EfficiencyLine(
                    evse_id=evse_id,
                    rated_w=rated_w,
                    bands=tuple(
                        devices.EfficiencyBand(
                            direction=direction,
                            low_w=low * rated_w,
                            high_w=high * rated_w,
                            efficiency=efficiency,
                            readings=readings,
                        )
                        for direction, low, high, efficiency, readings in bands
                    ),
                    problem=state.problem if bands and state is not None else _NOTHING_YET,
                )
            )
        return devices.EfficiencyResult(inverters=tuple(lines))

    async def pilot_check(self, params: devices.PilotCheckParams, caller: Caller) -> devices.PilotCheckResult:
        known = [evse.id for evse in self._site.config.evses]
        wanted = known if params.evse_id is None else [self._known(params.evse_id)]
        image = self._image()
        readings = {} if image is None else {reading.evse_id: reading for reading in image.evses}
        return devices.PilotCheckResult(evses=tuple(self._pilot(evse_id, readings.get(evse_id)) for evse_id in wanted))

    def _pilot(self, evse_id: str, reading: DcEvseReading | AcEvseReading | None) -> devices.PilotLine:
        now_s = self._clock.monotonic_s()
        if reading is None or not abs(now_s - reading.as_of_s) <= STALE_AFTER_S:
            return devices.PilotLine(evse_id=evse_id, verdict="unknown", findings=(_NO_READING,))
        pilot, age_s = reading.pilot, round(now_s - reading.as_of_s, 2)
        if pilot is None:
            return devices.PilotLine(evse_id=evse_id, verdict="not measured", age_s=age_s, findings=(_NO_PILOT,))
        expected_pct = self._expected_duty_pct(evse_id, pilot.state)
        verdict = judge(pilot, expected_pct)
        findings = [str(finding) for finding in verdict.findings]
        ordered = verdict.state is PilotState.F and self._orders_state_f(evse_id)
        if ordered:
            findings.insert(0, "state F, as ordered: the powerline link failed, the vehicle shall begin anew")
        elif verdict.state in (PilotState.E, PilotState.F):
            findings.insert(0, f"state {verdict.state.value}: the EVSE offers nothing, or the pilot is shorted")
        return devices.PilotLine(
            evse_id=evse_id,
            verdict="pass" if verdict.passed or (ordered and not verdict.findings) else "fail",
            state=verdict.state.value if verdict.state is not None else "",
            age_s=age_s,
            high_v=pilot.high_v,
            low_v=pilot.low_v,
            duty_pct=pilot.duty_pct,
            expected_duty_pct=expected_pct,
            frequency_hz=pilot.frequency_hz,
            proximity_a=pilot.proximity_a,
            earth_ohm=pilot.earth_ohm,
            earth_ok=pilot.earth_ok,
            findings=tuple(findings),
        )

    def _orders_state_f(self, evse_id: str) -> bool:
        step = self._site.steps.get(evse_id)
        return step is not None and step.evse.pilot_error

    def _expected_duty_pct(self, evse_id: str, state: PilotState | None) -> float | None:
        """Of an AC EVSE what it is told; a DC stage makes its own: digital communication while a vehicle is there."""
        if any(isinstance(evse, DcEvse) and evse.id == evse_id for evse in self._site.config.evses):
            return DIGITAL_DUTY_PCT if state in _PLUGGED else None
        step = self._site.steps.get(evse_id)
        return step.evse.pilot_duty_pct if step is not None and isinstance(step.evse, AcEvseCommand) else None

    def _image(self) -> Image | None:
        return self._site.image.wires if self._site.image is not None else None

    def _known(self, evse_id: str) -> str:
        known = [evse.id for evse in self._site.config.evses]
        if evse_id not in known:
            raise Refused(f"there is no EVSE {evse_id!r}; there are {', '.join(known)}", code="UNKNOWN_EVSE")
        return evse_id
