"""The services of this host and the daemon that an update is about: held, stopped, started, and proved to be well."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from v2g.cli.firmware_site import NAME, Site
from v2g.clock import SleepingClock
from v2g.control.client import CallRefused, ControlClient, ControlError, DaemonNotReachable
from v2g.control.messages_maintenance import LEASE_RANGE_S, MaintenanceParams, MaintenanceResult, MaintenanceSession
from v2g.control.messages_preflight import PreflightResult
from v2g.host.firmware.environment import run_words
from v2g.host.firmware.errors import FirmwareError

INSTALLED: Final = Path("/var/lib/v2g-install/manifest.json")
"""There where ``v2g-tool install`` has laid out the host."""
LEASE_S: Final = 3600.0
_CALL_S: Final = 10.0
_DRAIN_S: Final = 120.0
_SERVICE_S: Final = 180.0


class SystemDaemon:
    """:class:`v2g.host.firmware.transaction.Daemon` for this host."""

    def __init__(self, site: Site, reason: str, say: Callable[[str], None]) -> None:
        self._site = site
        self._settings = site.settings
        self._reason = reason
        self._say = say
        self._holding = False

    def hold(self, *, drain: bool) -> tuple[str, ...]:
        params = MaintenanceParams(reason=self._reason, drain=drain, lease_s=LEASE_S)
        try:
            with ControlClient(self._site.control_sock, _DRAIN_S if drain else _CALL_S, name=NAME) as client:
                result = msgspec.convert(client.call("maintenance.begin", params), MaintenanceResult)
        except DaemonNotReachable as error:
            # It may be what the update is to mend. But only without a daemon there are no sessions for certain.
            if listens(self._site.control_sock) and not drain:
                raise FirmwareError(
                    f"{error}. It runs, so that sessions cannot be ruled out: --drain goes on all the same"
                ) from None
            self._say("no daemon answers: no session is there to be ended")
            return ()
        except (CallRefused, msgspec.ValidationError) as error:
            raise FirmwareError(f"new sessions cannot be held off: {error}") from None
        if result.refused:
            named = "; ".join(map(_session, result.sessions)) or result.refused
            raise FirmwareError(
                f"sessions are active: {named}. Wait for their end, or give --drain: their power goes to zero, and "
                "they are paused or ended"
            )
        self._holding = True
        if not result.drained and drain:
            left = "; ".join(_session(each) for each in result.sessions if each.became == "active")
            raise FirmwareError(f"the sessions did not end: {left or 'see v2g-control status'}; try again")
        return tuple(f"{_session(each)}: {each.became}" for each in result.sessions)

    def release(self) -> None:
        if not self._holding:
            return
        self._holding = False
        with suppress(ControlError), ControlClient(self._site.control_sock, _CALL_S, name=NAME) as client:
            client.call("maintenance.end")

    def stop(self) -> None:
        if self._settings.stop:
            run_words(self._settings.stop, "the services cannot be stopped", _SERVICE_S)
        else:
            run_words(("systemctl", "stop", *self._units(False)), "the services cannot be stopped", _SERVICE_S)

    def start(self) -> None:
        if self._settings.start:
            run_words(self._settings.start, "the services cannot be started", _SERVICE_S)
        else:
            units = self._units(True)
            if INSTALLED.exists():
                # Units, users and examples are those of the version that is about to run; what people edited stays.
                tool = str(self._site.slots.current / "bin" / "v2g-tool")
                laid = (tool, "install", "--prefix", str(self._site.slots.current))
                run_words(laid, "the units of the version cannot be laid out", _SERVICE_S)
            with suppress(FirmwareError):
                # A unit that failed too often would be refused for that alone.
                run_words(("systemctl", "reset-failed", *units), "", _SERVICE_S)
            run_words(("systemctl", "start", *units), "the services cannot be started", _SERVICE_S)

    def prove(self, version: str) -> None:
        """By the commands of the version itself: another one may not speak its protocol."""
        settings = self._settings
        run_words(
            (
                str(self._site.slots.current / "bin" / "v2g-tool"),
                *("firmware", "prove", "--expect", version, "--socket", str(self._site.control_sock)),
                *("--within", f"{settings.health_s:g}s", "--steady", f"{settings.steady_s:g}s"),
            ),
            f"{version} is not well",
            settings.health_s + settings.steady_s + _SERVICE_S,
        )

    def _units(self, to_start: bool) -> tuple[str, ...]:
        """Those of the host, and to start only those that a boot starts as well; the first brings what it needs."""
        names = self._settings.services
        shown = subprocess.run(  # noqa: S603
            ("systemctl", "show", "--property=Id,LoadState,UnitFileState", "--", *names),  # noqa: S607
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        ).stdout
        found = units_of(shown, names[0], to_start=to_start)
        if not found:
            raise FirmwareError(
                f"systemd has none of {', '.join(names)}: v2g-tool install puts them there; without systemd, name "
                "commands in firmware.stop and firmware.start"
            )
        return found


def listens(sock: Path) -> bool:
    """Somebody is behind the socket, whether he answers or not."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(1.0)
        try:
            connection.connect(str(sock))
        except TimeoutError:
            return True
        except OSError:
            return False
    return True


def units_of(shown: str, first: str, *, to_start: bool) -> tuple[str, ...]:
    """Of the answer of ``systemctl show``: the units that the host has; to start, those that a boot starts as well,
    and ``first``, which brings those that it needs."""
    found = []
    for block in shown.split("\n\n"):
        facts = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        at_boot = facts.get("UnitFileState", "") in ("enabled", "enabled-runtime")
        if facts.get("LoadState") == "loaded" and (not to_start or at_boot or facts.get("Id") == first):
            found.append(facts["Id"])
    return tuple(found)


def _session(session: MaintenanceSession) -> str:
    return " / ".join(filter(None, (session.evse_id, session.vehicle or "no EVCCID yet", session.identity)))


def prove(expect: str, sock: Path, within_s: float, steady_s: float, clock: SleepingClock) -> None:
    """Return once the daemon and its guard are of version ``expect``, ready, and have stayed so for ``steady_s``.

    New sessions are held off meanwhile, where none has come yet. Raises :class:`FirmwareError` after ``within_s``.
    """
    from v2g.cli.firmware_health import Health

    health = Health(expect)
    deadline_s = clock.monotonic_s() + within_s
    held = False
    try:
        while True:
            now_s = clock.monotonic_s()
            reason = health.look(sock, now_s)
            if not held and health.reachable:
                held = _hold_off(sock, within_s + steady_s)
            if health.well_for_s(now_s) >= steady_s:
                return
            if now_s >= deadline_s and reason:
                raise FirmwareError(f"within {within_s:g} s it did not become well: {reason}")
            clock.sleep_until(now_s + 0.5)
    finally:
        if held:
            with suppress(ControlError), ControlClient(sock, _CALL_S, name=NAME) as client:
                client.call("maintenance.end")


def _hold_off(sock: Path, lease_s: float) -> bool:
    params = MaintenanceParams(
        reason="a new version proves itself", lease_s=max(LEASE_RANGE_S[0], min(lease_s, LEASE_RANGE_S[1]))
    )
    with suppress(ControlError), ControlClient(sock, _CALL_S, name=NAME) as client:
        return not client.call("maintenance.begin", params).get("refused")
    return False


def refused_discharge(sock: Path) -> tuple[str, ...]:
    """What the daemon's own preflight holds against discharge now, by EVSE: for people, after an update. Never
    raises."""
    try:
        with ControlClient(sock, _CALL_S, name=NAME) as client:
            refuses = msgspec.convert(client.call("preflight.show"), PreflightResult).refuses
    except (ControlError, msgspec.ValidationError):
        return ()
    return tuple(f"{evse_id} does not discharge: {reason}" for evse_id, reason in refuses.items())
