"""What ``v2g-guard quality`` corrects its samples by: as ``tick`` does, from the moment that it adopts others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from v2g.config.loader import Loaded
from v2g.config.problems import ConfigError
from v2g.config.protection import settings_digest
from v2g.config.sensors import sample_factors
from v2g.grid.settings import SettingsError
from v2g.guard.status import GuardStatus
from v2g.hardware.sensor_map import Factors
from v2g.hardware.waveform import WaveformError
from v2g.telemetry import logs

LOOK_EVERY_S = 0.5


class _Status(Protocol):
    def read(self, now_s: float) -> GuardStatus: ...


class FactorsInForce:
    """Reads the configuration again when the guard's status shows other settings; keeps the old ones where it must."""

    def __init__(self, loaded: Loaded, load: Callable[[], Loaded], status: _Status) -> None:
        """``load`` may raise :class:`ConfigError` and ``OSError``."""
        self.factors: Factors = sample_factors(loaded.config, loaded.sensors)
        self._load = load
        self._status = status
        self._digest = _digest(loaded)
        self._look_at_s = 0.0

    def follow(self, now_s: float, correct: Callable[[Factors], None]) -> None:
        """``correct`` takes factors that differ from those before; it may raise WaveformError."""
        if now_s < self._look_at_s:
            return
        self._look_at_s = now_s + LOOK_EVERY_S
        digest = self._status.read(now_s).settings_digest
        if not digest or digest == self._digest:
            return
        # Also of what cannot be used: it is looked at once, until the guard adopts something else.
        self._digest = digest
        try:
            loaded = self._load()
            factors = sample_factors(loaded.config, loaded.sensors)
            if _digest(loaded) != digest:
                raise ConfigError([])
            if factors != self.factors:
                correct(factors)
                self.factors = factors
        except (ConfigError, OSError, WaveformError) as error:
            why = str(error) or "the configuration was changed by hand; systemctl restart v2g-guard-quality takes it"
            logs.daemon_log().warning("QUALITY_FACTORS_KEPT", f"samples are corrected as before: {why}")


def _digest(loaded: Loaded) -> str:
    try:
        return settings_digest(loaded.config, loaded.sensors)
    except SettingsError:
        return ""
