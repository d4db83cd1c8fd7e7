"""What ``wires`` writes into the inverters, and how it follows the settings that ``tick`` adopts while both run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from v2g.clock import Clock
from v2g.config.functions import support_settings
from v2g.config.loader import Loaded
from v2g.config.problems import ConfigError
from v2g.config.protection import UNSET_DIGEST, grid_settings, settings_digest
from v2g.grid.settings import SettingsError
from v2g.hardware.inverter_driver import DeviceSettings
from v2g.telemetry import logs

LOAD_AGAIN_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WiresSettings:
    """``device.grid`` None: the site has none, ``unset`` says why; nothing is permitted then."""

    device: DeviceSettings
    nominal_frequency_hz: float = 60.0
    digest: str = UNSET_DIGEST
    """Of the guard's settings that belong to these (:func:`v2g.config.protection.settings_digest`)."""
    unset: str = ""

    @property
    def enter_service_delay_s(self) -> float:
        return 0.0 if self.device.grid is None else self.device.grid.enter_service.delay_s


def wires_settings(loaded: Loaded) -> WiresSettings:
    """Of a configuration that was checked. Never raises for settings that are unset or refused."""
    config = loaded.config
    support, nominal_hz = support_settings(config.functions), config.grid.nominal_frequency_hz
    try:
        grid, digest = grid_settings(config), settings_digest(config, loaded.sensors)
    except SettingsError as error:
        return WiresSettings(device=DeviceSettings(support=support), nominal_frequency_hz=nominal_hz, unset=str(error))
    return WiresSettings(
        device=DeviceSettings(support=support, grid=grid), nominal_frequency_hz=nominal_hz, digest=digest
    )


class Follower:
    """Loads the settings again, on a thread, when the guard's status shows others than those in force here.

    What cannot be loaded, or is not what the guard works by, is told once and tried again; the old ones stay.
    """

    def __init__(
        self,
        in_force: WiresSettings,
        load: Callable[[], WiresSettings],
        adopt: Callable[[WiresSettings], None],
        clock: Clock,
    ) -> None:
        """``load`` runs on a thread and may raise :class:`ConfigError` and ``OSError``."""
        self._digest = in_force.digest
        self._load = load
        self._adopt = adopt
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self._again_at_s = 0.0
        self._told = ""

    def look(self, digest: str) -> None:
        """``digest``: of the guard's status, empty while that is stale. Returns at once."""
        if not digest:
            return
        if digest == self._digest:
            self._told = ""
            return
        if self._clock.monotonic_s() < self._again_at_s or not (self._task is None or self._task.done()):
            return
        self._again_at_s = self._clock.monotonic_s() + LOAD_AGAIN_S
        self._task = asyncio.get_running_loop().create_task(self._follow(digest), name="settings of the guard")

    async def close(self) -> None:
        if self._task is not None:
            await asyncio.wait((self._task,))

    async def _follow(self, digest: str) -> None:
        try:
            loaded = await asyncio.to_thread(self._load)
        except (ConfigError, OSError) as error:
            self._keep(f"what the guard has adopted cannot be loaded: {error}")
            return
        if loaded.digest != digest:
            self._keep(
                f"the guard works by settings {digest}, the configuration gives {loaded.digest}: it was changed by "
                "hand; v2g-tool grid shows both, systemctl restart v2g-guard-tick adopts it"
            )
            return
        self._adopt(loaded)
        self._digest, self._again_at_s, self._told = digest, 0.0, ""
        logs.daemon_log().info(
            "WIRES_SETTINGS", "the inverters are configured anew: the guard has adopted other settings", digest=digest
        )

    def _keep(self, problem: str) -> None:
        if problem != self._told:
            self._told = problem
            logs.daemon_log().warning("WIRES_SETTINGS_KEPT", f"the inverters keep their settings: {problem}")
