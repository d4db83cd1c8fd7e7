"""Commands of people to ``tick``: trip reset, permit service, lockout, new settings, phase measurement, relay test.

Everything here runs between two ticks. What takes longer (reading the configuration, a second of phase angles) is
answered later.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from v2g.config.loader import ConfigError
from v2g.grid.estimate import Estimate
from v2g.grid.settings import SettingsError
from v2g.grid.synchronisation import PerPhaseAngle
from v2g.guard.latch import ResetRefused, TripLatch
from v2g.guard.lockout import Lockout, LockoutRefused
from v2g.guard.permit_service import PermitService
from v2g.guard.phases import PhaseMeasurement
from v2g.guard.tick_commands import CommandReply, Respond, TickCommand
from v2g.guard.tick_settings import TickSettings
from v2g.hardware.waveform import WaveformError

RELAY_TEST_S = 600.0
"""A relay test ends by itself after this."""
ADOPT_WITHIN_S = 1.0


class EventPort(Protocol):
    """Takes events and jobs without waiting; ``level`` is info, warning or error."""

    def event(self, level: str, code: str, message: str, **fields: object) -> None: ...

    def later(self, job: Callable[[], None]) -> None: ...


class Guard(Protocol):
    """What a command may ask of the tick."""

    @property
    def settings(self) -> TickSettings: ...

    def reset_refusal(self) -> str:
        """Which enter-service conditions do not hold, in words; empty when all do."""

    def adopt(self, settings: TickSettings) -> None:
        """Raises SettingsError, and then nothing has changed."""

    def angles(self, channels: tuple[str, str, str]) -> PerPhaseAngle:
        """Raises WaveformError."""

    def relay_proved(self) -> None: ...


class Operator:
    """``load_settings`` reads the configuration: it is called on the background thread, and raises ConfigError or
    SettingsError."""

    def __init__(
        self,
        guard: Guard,
        latch: TripLatch,
        permit_service: PermitService,
        lockout: Lockout,
        events: EventPort,
        load_settings: Callable[[], TickSettings],
        unix_s: Callable[[], float],
    ) -> None:
        self._guard = guard
        self._latch = latch
        self._permit_service = permit_service
        self._lockout = lockout
        self._events = events
        self._load_settings = load_settings
        self._unix_s = unix_s
        self._now_s = 0.0
        self._reading: _Reading | None = None
        self._measuring: tuple[PhaseMeasurement, Respond] | None = None
        self._test_until_s: float | None = None
        self._test_saw_closed = False

    @property
    def testing(self) -> bool:
        """A relay test runs: the breaker stays open."""
        return self._test_until_s is not None

    def step(self, now_s: float, estimate: Estimate | None, relay_closed: bool | None) -> None:
        """Go on with what takes longer than a tick."""
        self._now_s = now_s
        if self._test_until_s is not None:
            self._test_relay(now_s, self._test_until_s, relay_closed)
        if self._measuring is not None:
            self._measure(now_s, *self._measuring, estimate)
        if self._reading is not None:
            self._adopt(now_s, self._reading)

    def handle(self, command: TickCommand, respond: Respond) -> None:
        """Answers through ``respond``, now or later."""
        match command.command:
            case "reset_trip":
                respond(self._reset_trip(command))
            case "permit_service":
                respond(self._set_permit_service(command))
            case "lockout":
                respond(self._lock(command) if command.enabled else self._unlock(command))
            case "show_lockout":
                respond(self._locks(True, ""))
            case "test_relay":
                respond(self._begin_test(command) if command.enabled else self._end_test(command.by))
            case "measure_phase":
                self._begin_measurement(command, respond)
            case "adopt_settings":
                self._begin_adoption(command, respond)

    def _reply(self, accepted: bool, message: str) -> CommandReply:
        return CommandReply(accepted=accepted, message=message, digest=self._guard.settings.digest)

    def _reset_trip(self, command: TickCommand) -> CommandReply:
        event = self._events.event
        try:
            released = self._latch.reset(self._guard.reset_refusal())
        except ResetRefused as refusal:
            event("warning", "TRIP_RESET_REFUSED", str(refusal), by=command.by)
            return self._reply(False, str(refusal))
        if released is None:
            return self._reply(True, "the guard is not tripped")
        self._events.later(self._latch.store.sync)
        event("warning", "TRIP_RESET", "the trip latch was released", element=released.element, by=command.by)
        return self._reply(True, f"trip {released.element} is reset")

    def _set_permit_service(self, command: TickCommand) -> CommandReply:
        service = self._permit_service
        try:
            service.set(command.enabled, command.by, self._unix_s())
        except OSError as error:
            why = f"{service.path} cannot be written: {error.strerror}; make it writable"
            if command.enabled:
                return self._reply(False, f"permit service is not given, since it could not be kept: {why}")
            self._events.event("error", "PERMIT_SERVICE_NOT_KEPT", why, by=command.by)
            said = f"permit service is withdrawn, but a restart would give it again: {why}"
        else:
            self._events.later(service.sync)
            said = "permit service is given" if command.enabled else "permit service is withdrawn"
        code = "PERMIT_SERVICE_GIVEN" if command.enabled else "PERMIT_SERVICE_WITHDRAWN"
        self._events.event("warning", code, said, by=command.by)
        return self._reply(True, said)

    def _lock(self, command: TickCommand) -> CommandReply:
        lockout, event = self._lockout, self._events.event
        try:
            lockout.lock(command.by, command.note, self._unix_s())
        except LockoutRefused as refusal:
            return self._locks(False, str(refusal))
        except OSError as error:
            why = f"{lockout.path} cannot be written: {error.strerror}; make it writable, then lock again"
            event("error", "LOCKOUT_NOT_KEPT", why, by=command.by)
            said = f"the breaker is locked out, but a restart would forget it: {why}"
        else:
            self._events.later(lockout.sync)
            said = f"the breaker is locked out by {lockout.names}"
        event("warning", "LOCKOUT_ON", said, by=command.by, note=command.note)
        return self._locks(True, said)

    def _unlock(self, command: TickCommand) -> CommandReply:
        lockout = self._lockout
        try:
            gone = lockout.unlock(command.name or command.by)
        except LockoutRefused as refusal:
            return self._locks(False, str(refusal))
        except OSError as error:
            return self._locks(
                False,
                f"the lock stays, since its end could not be kept: {lockout.path}: {error.strerror}; make it writable",
            )
        self._events.later(lockout.sync)
        rest = f"still locked out by {lockout.names}" if lockout.locked else "enter service starts over"
        said = f"the lock of {gone.by} is off; {rest}"
        self._events.event("warning", "LOCKOUT_OFF", said, by=command.by, lock=gone.by)
        return self._locks(True, said)

    def _locks(self, accepted: bool, message: str) -> CommandReply:
        return msgspec.structs.replace(self._reply(accepted, message), locks=self._lockout.locks)

    def _begin_test(self, command: TickCommand) -> CommandReply:
        if self._guard.settings.relay_feedback is None:
            return self._reply(
                False, "the hardware relay has no feedback: wire its contact and set relay.feedback_path first"
            )
        if self._test_until_s is None:
            self._test_saw_closed = False
            self._events.event(
                "warning", "RELAY_TEST_BEGAN", "a test of the hardware relay runs; the breaker is open", by=command.by
            )
        self._test_until_s = self._now_s + RELAY_TEST_S
        return self._reply(True, f"the breaker opens; the test ends by itself after {RELAY_TEST_S / 60:.0f} minutes")

    def _end_test(self, by: str) -> CommandReply:
        if self._test_until_s is None:
            return self._reply(True, "no relay test runs")
        self._test_until_s = None
        self._events.event("warning", "RELAY_TEST_ENDED", "enter service starts over", by=by)
        return self._reply(True, "the relay test has ended; enter service starts over")

    def _test_relay(self, now_s: float, until_s: float, closed: bool | None) -> None:
        if closed:
            self._test_saw_closed = True
        elif closed is False and self._test_saw_closed:
            self._test_saw_closed = False
            self._guard.relay_proved()
            self._events.event("info", "RELAY_TEST_OPENED", "the hardware relay was seen to open")
        if now_s >= until_s:
            self._end_test("timeout")

    def _begin_measurement(self, command: TickCommand, respond: Respond) -> None:
        settings = self._guard.settings
        channels = None
        if self._measuring is not None:
            respond(self._reply(False, "another phase measurement runs; ask again in a second"))
            return
        if command.evse_id:
            found = [evse.channels for evse in settings.evse_channels if evse.evse_id == command.evse_id]
            if not found:
                respond(
                    self._reply(
                        False,
                        f"EVSE {command.evse_id} has no voltage channels of its own: set inverter.voltage_channels, or "
                        "measure at the feeder",
                    )
                )
                return
            channels = found[0]
        self._measuring = (PhaseMeasurement(command.evse_id, channels, settings.nominal_frequency_hz), respond)

    def _measure(
        self, now_s: float, measurement: PhaseMeasurement, respond: Respond, estimate: Estimate | None
    ) -> None:
        try:
            if estimate is None:
                raise ValueError("the grid is not measured")
            channels = measurement.channels
            angles = estimate.inverter_angle_deg if channels is None else self._guard.angles(channels)
            if not measurement.add(now_s, angles):
                return
        except (ValueError, WaveformError) as error:
            reply = self._reply(False, f"the phase cannot be measured: {error}")
        else:
            mean_deg, spread_deg = measurement.result()
            reply = CommandReply(
                accepted=True,
                message="inverter side minus grid, as measured",
                digest=self._guard.settings.digest,
                angle_deg=mean_deg,
                spread_deg=spread_deg,
            )
        self._measuring = None
        respond(reply)

    def _begin_adoption(self, command: TickCommand, respond: Respond) -> None:
        if self._reading is not None:
            respond(self._reply(False, "the configuration is being read already; ask again in a second"))
            return
        self._reading = _Reading(command.by, respond, self._now_s + ADOPT_WITHIN_S)
        self._events.later(self._reading.job(self._load_settings))

    def _adopt(self, now_s: float, reading: _Reading) -> None:
        found = reading.result
        if found is None and now_s < reading.until_s:
            return
        self._reading = None
        refusal: str | None = None
        if found is None:
            refusal = f"the configuration could not be read within {ADOPT_WITHIN_S:g} s"
        elif isinstance(found, str):
            refusal = found
        elif found.protection is None:
            refusal = found.unset
        else:
            try:
                self._guard.adopt(found)
            except SettingsError as error:
                refusal = str(error)
        if refusal is not None:
            self._events.event("warning", "SETTINGS_REFUSED", f"nothing has changed: {refusal}", by=reading.by)
            reading.respond(self._reply(False, f"nothing has changed: {refusal}"))
            return
        settings = self._guard.settings
        protection = settings.protection
        profile = "" if protection is None else protection.grid.profile
        self._events.event("warning", "SETTINGS_ADOPTED", f"settings {profile}", digest=settings.digest, by=reading.by)
        reading.respond(self._reply(True, f"settings {profile} are in force, digest {settings.digest}"))


class _Reading:
    """One reading of the configuration. ``result`` is set by the background thread: settings, or why there are none."""

    def __init__(self, by: str, respond: Respond, until_s: float) -> None:
        self.by = by
        self.respond = respond
        self.until_s = until_s
        self.result: TickSettings | str | None = None

    def job(self, load: Callable[[], TickSettings]) -> Callable[[], None]:
        def read() -> None:
            try:
                self.result = load()
            except (ConfigError, SettingsError) as error:
                self.result = str(error)

        return read
