"""The configuration anew, of SIGHUP and of ``config.reload``: everything that can be taken up is, or nothing."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from v2g.config.comparison import Difference, differences, places_of, settings_of
from v2g.config.loader import Loaded
from v2g.config.protection import settings_digest
from v2g.config.reload_rules import Live, rule_for, to_restart
from v2g.config.schema import Config
from v2g.control.messages import NoParams
from v2g.control.messages_config import ConfigChange, ConfigReloadResult
from v2g.control.server import Caller, Refused, Role
from v2g.grid.settings import SettingsError
from v2g.orchestrator.adoption import load_settings
from v2g.orchestrator.changes import FINISH_CHANGE_S, Changes
from v2g.orchestrator.der_codes import grid_codes
from v2g.orchestrator.harmonics import filter_thresholds
from v2g.orchestrator.min_soc_api import MinSocApi, min_soc_settings
from v2g.orchestrator.pki_api import PkiApi
from v2g.orchestrator.sensors_api import SensorsApi
from v2g.orchestrator.site import Site
from v2g.telemetry import logs

if TYPE_CHECKING:
    from v2g.orchestrator.mesh_absent import MeshPlace

_BY_GUARD = (Live.GUARD, Live.SENSORS)
_CODES = {"HALF_RELOADED": "SENSORS_HALF_RELOADED", "CONFIG": "CONFIG_REFUSED", "PKI_REFUSED": "CONFIG_REFUSED"}
SHOWN = 12
"""Settings that one line of the log names."""


class Reload:
    """Knows what the daemon goes by, and what of the files waits. Log rotation sends no SIGHUP: logs reopen by
    themselves, and with one.

    ``guard``: the digest of the settings that ``tick`` shows in its status.
    """

    def __init__(
        self,
        loaded: Loaded,
        sensors: SensorsApi,
        pki: PkiApi,
        mesh: MeshPlace,
        site: Site,
        min_soc: MinSocApi,
        guard: Callable[[], str],
        changes: Changes,
    ) -> None:
        self.config_dir = loaded.config_dir
        self._sensors = sensors
        self._pki = pki
        self._mesh = mesh
        self._site = site
        self._min_soc = min_soc
        self._guard = guard
        self._changes = changes
        self._log = logs.daemon_log()
        self._settings = settings_of(loaded.config)
        self._running: set[asyncio.Task[None]] = set()

    def on_hangup(self) -> None:
        """Within the event loop."""
        logs.reopen()
        caller = Caller(uid=os.getuid(), gid=os.getgid(), pid=os.getpid(), user="SIGHUP", role=Role.ENGINEER)
        task = asyncio.get_running_loop().create_task(self._on_hangup(caller), name="configuration anew")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def close(self) -> None:
        """What runs gets a moment to finish."""
        if self._running:
            await asyncio.wait(self._running, timeout=FINISH_CHANGE_S)

    async def reload(self, params: NoParams, caller: Caller) -> ConfigReloadResult:
        """Checked first, all of it; then the guard, certificates and the control cycle take it up.

        Raises :class:`Refused` with every mistake; nothing has changed then, but where it says so.
        """
        return await self._changes.alone("the configuration is being read again", lambda: self._reload(caller))

    async def waiting(self, loaded: Loaded) -> tuple[Difference, ...]:
        """What ``loaded`` says and nobody goes by."""
        found = await asyncio.to_thread(lambda: differences(self._settings, settings_of(loaded.config)))
        in_force = {live for live in Live if self._is_in_force(live, loaded)}
        return tuple(each for each in found if each.rule.live not in in_force)

    async def take(self, loaded: Loaded, kinds: Collection[Live], caller: Caller) -> None:
        """Let those of ``kinds`` go by ``loaded``. Raises :class:`Refused`, where the guard does."""
        if any(kind in kinds for kind in _BY_GUARD):
            await self._sensors.take(loaded, caller)
        await self._take_here(loaded, kinds)

    async def _take_here(self, loaded: Loaded, kinds: Collection[Live]) -> None:
        config = loaded.config
        # Of hundreds of EVSEs this takes longer than a control cycle may wait.
        settings = await asyncio.to_thread(_taken, self._settings, config, kinds)
        if Live.DISPATCH in kinds:
            self._site.dispatching.adopt(config.dispatch)
        if Live.MIN_SOC in kinds:
            self._min_soc.settings = min_soc_settings(config)
        if Live.FILTERS in kinds:
            self._site.filter_thresholds = filter_thresholds(config)
        if Live.DER in kinds or Live.GUARD in kinds:
            self._site.grid_codes = grid_codes(config)
        if Live.GUARD in kinds:
            # What a relay test writes down; where its feedback is, is the old one until a restart.
            site = self._site
            relay = replace(config.relay, feedback_path=site.config.relay.feedback_path)
            site.config = replace(site.config, relay=relay)
        self._settings = settings

    def _is_in_force(self, live: Live, loaded: Loaded) -> bool:
        """Commands of their own put these in force, too: who goes by them is asked."""
        config = loaded.config
        match live:
            case Live.MIN_SOC:
                return self._min_soc.settings == min_soc_settings(config)
            case Live.DER:
                return self._site.grid_codes == grid_codes(config)
            case Live.FILTERS:
                return self._site.filter_thresholds == filter_thresholds(config)
            case Live.GUARD:
                try:
                    return self._guard() == settings_digest(config, loaded.sensors)
                except SettingsError:
                    return False
            case Live.SENSORS:
                before = self._sensors.in_force
                return (before.sensors, before.config.calibration.sensors, before.config.interlocks) == (
                    loaded.sensors,
                    config.calibration.sensors,
                    config.interlocks,
                )
            case _:
                return False

    async def _on_hangup(self, caller: Caller) -> None:
        try:
            result = await self.reload(NoParams(), caller)
        except Refused as error:
            code = _CODES.get(error.code, "SENSORS_REFUSED")
            self._log.warning(code, str(error), by=caller.user)
            logs.audit_log().info(code, str(error), user=caller.user)
            return
        logs.audit_log().info("CONFIG_RELOADED", reload_words(result), user=caller.user)

    async def _reload(self, caller: Caller) -> ConfigReloadResult:
        loaded = await load_settings(self.config_dir)
        waiting = await self.waiting(loaded)
        secc = self._pki.secc()
        if secc is not None:
            await self._pki.check(caller)
        sensors = await self._sensors.take(loaded, caller)
        messages = [sensors.message]
        self._log.info("SENSORS_RELOADED", sensors.message, by=caller.user)
        logs.audit_log().info("SENSORS_RELOADED", sensors.message, user=caller.user, digest=sensors.digest)
        await self._take_here(loaded, tuple(Live))
        if secc is not None:
            certificates = await self._pki.take(secc, caller)
            messages.append(certificates.message)
            logs.audit_log().info("PKI_RELOADED", certificates.message, user=caller.user)
        await self._mesh.rejoin()
        changes = await asyncio.to_thread(changes_of, waiting, loaded, lambda each: each.rule.live is not None)
        result = ConfigReloadResult(
            changes=tuple(each for each in changes if each.in_force),
            waiting=tuple(each for each in changes if not each.in_force),
            restart=to_restart(each.rule for each in waiting),
            messages=tuple(messages),
            warnings=tuple(map(str, loaded.warnings)),
        )
        self._log.info("CONFIG_RELOADED", reload_words(result), by=caller.user)
        return result


def _taken(before: Mapping[str, Any], config: Config, kinds: Collection[Live]) -> dict[str, Any]:
    """What holds when those of ``kinds`` go by ``config`` and all else as before."""
    kept = {path: value for path, value in before.items() if rule_for(path).live not in kinds}
    return kept | {path: value for path, value in settings_of(config).items() if rule_for(path).live in kinds}


def changes_of(
    found: Sequence[Difference], loaded: Loaded, in_force: Callable[[Difference], bool]
) -> tuple[ConfigChange, ...]:
    """For people; ``loaded`` says where each stands."""
    places: dict[str, str] = places_of(loaded) if found else {}
    return tuple(
        ConfigChange(
            path=each.path,
            before=each.before,
            after=each.after,
            place=places.get(each.path, ""),
            takes=each.rule.words,
            in_force=in_force(each),
        )
        for each in found
    )


def reload_words(result: ConfigReloadResult) -> str:
    """One line for the logs."""
    parts = [f"in force: {_names(result.changes)}" if result.changes else "no setting is another"]
    if result.waiting:
        parts.append(f"waiting: {_names(result.waiting)}")
    if result.restart:
        parts.append(f"to restart: {' '.join(result.restart)}")
    return "; ".join(parts)


def _names(changes: Sequence[Any]) -> str:
    more = len(changes) - SHOWN
    return ", ".join(each.path for each in changes[:SHOWN]) + (f" and {more} more" if more > 0 else "")
