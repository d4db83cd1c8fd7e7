"""The methods of the control socket that reach into the guard: permit, settings, calibration, relay test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from v2g.clock import Clock
from v2g.config.loader import Loaded
from v2g.config.schema import DcEvse
from v2g.config.writer import CALIBRATION_DROPIN, OPERATOR_DROPIN, UNSET, dropin_path
from v2g.control import messages
from v2g.control.server import Caller, Method, Refused, Role
from v2g.orchestrator import phase_offset
from v2g.orchestrator.acknowledgement import acknowledged
from v2g.orchestrator.adoption import Adoption, now_iso
from v2g.orchestrator.changes import Changes
from v2g.orchestrator.decide import reason_words
from v2g.orchestrator.grid_view import describe
from v2g.orchestrator.guard_link import GuardLink, GuardReader, Tick
from v2g.orchestrator.idle import require_idle
from v2g.orchestrator.relay_api import RelayTestApi
from v2g.orchestrator.site import Site

_ADJUSTABLE = ("profile", "category", "alarm_window_hz", "trips.", "enter_service.")


class GuardApi:
    """Handlers of ``permit.service``, ``grid.settings``, ``grid.adjust``, ``pll.calibrate`` and ``relay.test``.

    What is refused raises :class:`Refused` and has changed nothing. One of ``changes`` at a time.
    """

    def __init__(
        self,
        site: Site,
        tick: Tick,
        guard: GuardReader,
        config_dir: Path,
        state_dir: Path,
        clock: Clock,
        audit: Callable[..., None],
        changes: Changes,
    ) -> None:
        self._site = site
        self._clock = clock
        self._link = GuardLink(tick, guard, clock)
        self._adoption = Adoption(self._link, config_dir, clock)
        self._audit = audit
        self._relay = RelayTestApi(site, self._link, state_dir, clock, audit)
        self._changes = changes

    def methods(self) -> tuple[Method[Any], ...]:
        return (
            Method("permit.service", Role.OPERATOR, messages.PermitServiceParams, self.permit_service),
            Method("grid.settings", Role.VIEWER, messages.NoParams, self.grid_settings),
            Method("grid.adjust", Role.ENGINEER, messages.GridAdjustParams, self.adjust),
            Method("pll.calibrate", Role.ENGINEER, messages.PllCalibrateParams, self.calibrate),
            Method("relay.test", Role.ENGINEER, messages.RelayTestParams, self._relay.step),
        )

    async def close(self) -> None:
        """End what still watches."""
        await self._relay.close()

    async def permit_service(
        self, params: messages.PermitServiceParams, caller: Caller
    ) -> messages.PermitServiceResult:
        await self._link.require("permit_service", caller, "PERMIT_NOT_SET", enabled=params.enabled)
        return messages.PermitServiceResult(enabled=params.enabled)

    async def grid_settings(self, params: messages.NoParams, caller: Caller) -> messages.GridSettingsResult:
        return self._describe(await self._adoption.load())

    async def adjust(self, params: messages.GridAdjustParams, caller: Caller) -> messages.GridSettingsResult:
        """Into the operator's drop-in, into the guard, and read back; or nothing."""
        return await self._changes.alone("the grid settings are being changed", lambda: self._adjust(params, caller))

    async def calibrate(self, params: messages.PllCalibrateParams, caller: Caller) -> messages.PllCalibrateResult:
        """Measure, write, adopt, measure again; what does not hold is taken back."""
        person = acknowledged(params.acknowledge, "v2g-tool calibrate-pll", caller, self._audit)
        return await self._changes.alone(
            "the phase is being calibrated", lambda: self._calibrate(params.evse_id, person, caller)
        )

    async def _adjust(self, params: messages.GridAdjustParams, caller: Caller) -> messages.GridSettingsResult:
        adopted = await self._adoption.apply(OPERATOR_DROPIN, _dropin_changes(params), caller)
        return self._describe(adopted.loaded)

    async def _calibrate(self, evse_id: str | None, person: str, caller: Caller) -> messages.PllCalibrateResult:
        path = _offset_path(await self._adoption.load(), evse_id)
        require_idle(self._site, self._link.fresh(), self._clock.monotonic_s(), "calibrated", evse_id)
        self._require_live()
        measured, spread_deg = await self._measure(evse_id, caller)
        if problem := phase_offset.problem(measured, spread_deg):
            raise Refused(f"{problem}; nothing was changed", code="NOT_CALIBRATED")
        offset = phase_offset.rounded(measured)
        changes: dict[str, Any] = {path: list(offset)}
        if evse_id is None:
            changes["calibration.calibrated_at"] = now_iso(self._clock)
            changes["calibration.calibrated_by"] = f"{caller.user}; {person} answers for it"
        adopted = await self._adoption.apply(CALIBRATION_DROPIN, changes, caller)
        try:
            again, _ = await self._measure(evse_id, caller)
            residual = phase_offset.residual(again, offset)
            if problem := phase_offset.residual_problem(residual):
                raise Refused(f"{problem}; the calibration was taken back", code="NOT_CALIBRATED")
        except BaseException:
            await adopted.undo()
            raise
        return messages.PllCalibrateResult(
            measured_deg=measured,
            offset_deg=offset,
            residual_deg=residual,
            acknowledged_by=person,
            file=str(dropin_path(self._adoption.config_dir, CALIBRATION_DROPIN)),
        )

    async def _measure(self, evse_id: str | None, caller: Caller) -> tuple[phase_offset.Angles, float]:
        reply = await self._link.require("measure_phase", caller, "NOT_MEASURED", evse_id=evse_id or "")
        if reply.angle_deg is None:
            raise Refused(f"the guard measured no phase: {reply.message}", code="NOT_MEASURED")
        return reply.angle_deg, reply.spread_deg

    def _require_live(self) -> None:
        guard = self._link.fresh()
        if guard.breaker_closed is not True:
            raise Refused(
                "the V2G breaker is not closed, so that both sides have no common voltage: "
                f"{reason_words(guard)}; see v2g-tool status",
                code="BREAKER_OPEN",
            )
        dead = [
            f"phase {phase} of the {side}"
            for side, v in (("grid side", guard.v_pu), ("inverter side", guard.inverter_v_pu))
            for phase, v_pu in zip("abc", v, strict=True)
            if not v_pu >= phase_offset.LIVE_PU
        ]
        if dead:
            raise Refused(
                f"without voltage: {', '.join(dead)}; check the transducers and their fuses", code="DEAD_SIDE"
            )

    def _describe(self, loaded: Loaded) -> messages.GridSettingsResult:
        return describe(loaded, self._link.status())


def _dropin_changes(params: messages.GridAdjustParams) -> dict[str, Any]:
    if not params.changes:
        raise Refused("there is nothing to change", code="BAD_SETTING")
    changes: dict[str, Any] = {}
    for path, value in params.changes.items():
        if not any(path == known or (known.endswith(".") and path.startswith(known)) for known in _ADJUSTABLE):
            raise Refused(
                f"{path} is no grid setting that can be adjusted here; there are profile, category, alarm_window_hz, "
                "trips.<element>.threshold, trips.<element>.time_s and enter_service.<name>",
                code="BAD_SETTING",
            )
        changes[f"grid.{path}"] = UNSET if value is None else value
    if params.confirm_unverified:
        changes["grid.confirm_unverified"] = True
    elif "profile" in params.changes:
        # Who confirmed the one before has not confirmed this one.
        changes["grid.confirm_unverified"] = UNSET if params.changes["profile"] is None else False
    return changes


def _offset_path(loaded: Loaded, evse_id: str | None) -> str:
    if evse_id is None:
        return "calibration.phase_offset_deg"
    for evse in loaded.config.evses:
        if evse.id == evse_id:
            if not isinstance(evse, DcEvse) or evse.inverter.voltage_channels is None:
                raise Refused(
                    f"{evse_id} has no voltage channels of its own (inverter.voltage_channels): calibrate the "
                    "feeder's, without --evse",
                    code="NO_CHANNELS",
                )
            return f"evses[{evse_id}].inverter.phase_offset_deg"
    known = ", ".join(evse.id for evse in loaded.config.evses)
    raise Refused(f"there is no EVSE {evse_id!r}; there are {known}", code="UNKNOWN_EVSE")
