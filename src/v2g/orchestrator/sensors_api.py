"""The methods ``sensors.list``, ``sensors.reload`` and ``sensors.calibrate`` of the control socket."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from v2g.clock import Clock
from v2g.config.loader import Loaded
from v2g.config.protection import settings_digest
from v2g.config.sensors import calibrated
from v2g.config.writer import CALIBRATION_DROPIN, dropin_path
from v2g.control import messages_sensors as sensors
from v2g.control.messages import NoParams
from v2g.control.server import Caller, Method, Refused, Role
from v2g.grid.settings import SettingsError
from v2g.guard.link import Image, Reloaded
from v2g.hardware.sensor_map import BufferSource, Channel
from v2g.orchestrator.acknowledgement import Audit, acknowledged
from v2g.orchestrator.adoption import Adopted, Adoption, now_iso
from v2g.orchestrator.changes import Changes
from v2g.orchestrator.guard_link import GuardLink
from v2g.orchestrator.sensor_calibration import (
    Measured,
    factor_for,
    require_calibratable,
    residual_problem,
    same_within,
    summarise,
)
from v2g.orchestrator.sensor_values import rms, sensor_line, state_of

COMMAND = "v2g-tool sensors calibrate"
MEASURE_S = 1.0
"""The guard's RMS values are averaged for so long ..."""
SETTLE_S = 0.1
"""... from so long after a change on."""
_LOOK_EVERY_S = 0.02
READINGS = 3
"""Of a channel that ``wires`` reads, so many readings are averaged ..."""
READ_WITHIN_S = 5.0
"""... which have to come within this."""


class SensorsApi:
    """What is refused raises :class:`Refused` and has changed nothing, but where it says so.

    ``loaded``: what is in force at first. ``image``: the last one of ``wires``; ``reload_wires`` lets it read its
    configuration again, for somebody by name. ``pause`` waits for so many seconds.
    """

    def __init__(
        self,
        loaded: Loaded,
        link: GuardLink,
        reload_wires: Callable[[str], Awaitable[Reloaded]],
        image: Callable[[], Image | None],
        clock: Clock,
        audit: Audit,
        changes: Changes,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._loaded = loaded
        self._link = link
        self._reload_wires = reload_wires
        self._image = image
        self._clock = clock
        self._audit = audit
        self._changes = changes
        self._pause = pause
        self._adoption = Adoption(link, loaded.config_dir, clock)

    def methods(self) -> tuple[Method[Any], ...]:
        return (
            Method("sensors.list", Role.VIEWER, NoParams, self.list),
            Method("sensors.reload", Role.ENGINEER, NoParams, self.reload),
            Method("sensors.calibrate", Role.ENGINEER, sensors.SensorsCalibrateParams, self.calibrate),
        )

    async def list(self, params: NoParams, caller: Caller) -> sensors.SensorsListResult:
        remarks = []
        try:
            loaded = await self._adoption.load()
            self._require_in_force(loaded)
        except Refused as error:
            remarks.append(str(error))
            loaded = loaded if error.code == "NOT_ADOPTED" else self._loaded
        guard, image, now_s = self._link.status(), self._image(), self._clock.monotonic_s()
        lines = tuple(sensor_line(channel, loaded, guard, image, now_s) for channel in loaded.sensors)
        return sensors.SensorsListResult(file=loaded.sensors.file, sensors=lines, remarks=tuple(remarks))

    async def reload(self, params: NoParams, caller: Caller) -> sensors.SensorsReloadResult:
        """Checked here first, then read by ``wires``, then adopted by ``tick``: who refuses keeps the next from it."""
        return await self._changes.alone("the sensors are being read again", lambda: self._reload(caller))

    async def calibrate(self, params: sensors.SensorsCalibrateParams, caller: Caller) -> sensors.SensorsCalibrateResult:
        """Measure, write, adopt, measure again; what does not hold is taken back."""
        person = acknowledged(params.acknowledge, COMMAND, caller, self._audit)
        return await self._changes.alone(
            "a sensor is being calibrated", lambda: self._calibrate(params, person, caller)
        )

    @property
    def in_force(self) -> Loaded:
        """By what the sensors were last read."""
        return self._loaded

    async def _reload(self, caller: Caller) -> sensors.SensorsReloadResult:
        return await self.take(await self._adoption.load(), caller)

    async def take(self, loaded: Loaded, caller: Caller) -> sensors.SensorsReloadResult:
        """Let ``wires`` and ``tick`` read what ``loaded`` was read from; within a change of whoever calls."""
        digest = _digest(loaded)
        wires = await self._reload_wires(caller.user)
        if not wires.accepted:
            raise Refused(f"{wires.message}; nothing was changed", code="SENSORS_REFUSED")
        try:
            guard = await self._link.require("adopt_settings", caller, "SENSORS_REFUSED")
        except Refused as error:
            raise Refused(
                f"v2g-guard-wires works by what was read, v2g-guard tick does not: {error}; put that right and reload "
                "again",
                code="HALF_RELOADED",
            ) from None
        if guard.digest != digest:
            raise Refused(
                f"the files were changed while they were read (settings {guard.digest} instead of {digest}); reload "
                "again",
                code="HALF_RELOADED",
            )
        self._loaded = loaded
        return sensors.SensorsReloadResult(message=wires.message, digest=guard.digest)

    async def _calibrate(
        self, params: sensors.SensorsCalibrateParams, person: str, caller: Caller
    ) -> sensors.SensorsCalibrateResult:
        loaded = await self._adoption.load()
        name, reference = params.name, params.reference
        channel = loaded.sensors.get(name)
        if channel is None:
            known = ", ".join(each.name for each in loaded.sensors)
            raise Refused(
                f"there is no sensor {name!r} in {loaded.sensors.file}; there are {known}", code="UNKNOWN_SENSOR"
            )
        require_calibratable(channel, reference, params.unit)
        # What is measured came by the factors in force: with others in the files the new one would be wrong.
        self._require_in_force(loaded)
        entry = loaded.config.calibration.sensors.get(name)
        factor = entry.factor if entry is not None else 1.0
        before = await self._measure(channel, loaded)
        wanted = factor_for(channel, before, reference, factor)
        if wanted is None:
            within = same_within(channel, reference)
            return sensors.SensorsCalibrateResult(
                name=name,
                unit=channel.unit,
                changed=False,
                reference=reference,
                before=before.mean,
                after=before.mean,
                factor_before=factor,
                factor_after=factor,
                words=f"no change: it is within {within:.3g} {channel.unit} of the reference; transducer and "
                "instrument tell no more, and a factor for less would write down noise",
                by=entry.by if entry is not None else "",
                at=entry.at if entry is not None else "",
            )
        by, at = f"{caller.user}, {person} answers for it", now_iso(self._clock)
        change = {
            "factor": wanted,
            "reference": f"{reference:g} {channel.unit}",
            "measured": f"{before.mean:.6g} {channel.unit}",
            "by": by,
            "at": at,
        }
        adopted = await self._apply(channel, {f"calibration.sensors.{name}": change}, caller)
        try:
            after = await self._measure(channel, adopted.loaded, SETTLE_S)
            if problem := residual_problem(channel, after, reference):
                raise Refused(f"{problem} The calibration was taken back", code="NOT_CALIBRATED")
        except BaseException:
            await adopted.undo()
            raise
        self._loaded = adopted.loaded
        return sensors.SensorsCalibrateResult(
            name=name,
            unit=channel.unit,
            changed=True,
            reference=reference,
            before=before.mean,
            after=after.mean,
            factor_before=factor,
            factor_after=wanted,
            file=str(dropin_path(self._adoption.config_dir, CALIBRATION_DROPIN)),
            by=by,
            at=at,
        )

    async def _apply(self, channel: Channel, changes: dict[str, Any], caller: Caller) -> Adopted:
        if isinstance(channel.source, BufferSource):
            return await self._adoption.apply(CALIBRATION_DROPIN, changes, caller)
        return await self._adoption.apply_to_wires(CALIBRATION_DROPIN, changes, lambda: self._reload_wires(caller.user))

    def _require_in_force(self, loaded: Loaded) -> None:
        digest, in_force = _digest(loaded), self._link.status().settings_digest
        if in_force and digest != in_force:
            what = f"what the guard works by (settings {digest} and {in_force})"
        elif _measured_by(loaded) != _measured_by(self._loaded):
            what = f"what the sensors were last read by; {loaded.sensors.file} or a calibration was edited"
        else:
            return
        raise Refused(
            f"the files say something else than {what}: take it with v2g-tool sensors reload, or undo it",
            code="NOT_ADOPTED",
        )

    async def _measure(self, channel: Channel, loaded: Loaded, settle_s: float = 0.0) -> Measured:
        """Only of what is measured from ``settle_s`` on. Raises :class:`Refused`."""
        since_s = self._clock.monotonic_s() + settle_s
        if isinstance(channel.source, BufferSource):
            return await self._measure_rms(channel.name, loaded.config.grid.nominal_voltage_v, since_s)
        readings: dict[float, float] = {}
        problem = "v2g-guard-wires is not connected"
        while self._clock.monotonic_s() <= since_s + READ_WITHIN_S:
            image = self._image()
            state = state_of(channel.name, image)
            if image is not None and state is None:
                problem = "v2g-guard-wires does not read it yet: v2g-tool sensors reload"
            if state is not None:
                problem = state.problem
                if state.value is not None and state.as_of_s is not None and state.as_of_s >= since_s:
                    readings[state.as_of_s] = state.value
            if len(readings) >= READINGS:
                return summarise(list(readings.values()))
            await self._pause(_LOOK_EVERY_S)
        why = problem or f"only {len(readings)} readings in {READ_WITHIN_S:g} s"
        raise Refused(f"{channel.name} is not measured: {why}; nothing was changed", code="NOT_MEASURED")

    async def _measure_rms(self, name: str, nominal_v: float, since_s: float) -> Measured:
        readings: dict[float, float] = {}
        while self._clock.monotonic_s() <= since_s + MEASURE_S:
            guard = self._link.fresh()
            value = rms(name, guard, nominal_v)
            if value is not None and guard.as_of_s >= since_s:
                readings[guard.as_of_s] = value
            await self._pause(_LOOK_EVERY_S)
        if len(readings) < READINGS:
            raise Refused(f"{name}: the guard told {len(readings)} values in {MEASURE_S:g} s", code="NOT_MEASURED")
        return summarise(list(readings.values()))


def _measured_by(loaded: Loaded) -> tuple[object, ...]:
    """Equal where every channel is measured in the same way, wherever its entry stands in the file."""
    return tuple(replace(channel, place="") for channel in loaded.sensors), calibrated(loaded.config)


def _digest(loaded: Loaded) -> str:
    try:
        return settings_digest(loaded.config, loaded.sensors)
    except SettingsError as error:
        raise Refused(f"nothing was changed: {error}", code="SETTINGS_REFUSED") from None
