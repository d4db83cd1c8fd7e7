"""What ``tick`` works by, from the configuration: nominal values, protection, inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from v2g.config.loader import Loaded
from v2g.config.paths import run_paths
from v2g.config.protection import protection_settings, settings_digest
from v2g.config.sensors import sample_factors
from v2g.grid.protection import ProtectionSettings
from v2g.grid.settings import SettingsUnset
from v2g.grid.trip import require_young_samples, tick_timing
from v2g.guard.phases import EvseChannels
from v2g.hardware.sensor_map import Factors, interlock_channels


@dataclass(frozen=True, slots=True, kw_only=True)
class TickSettings:
    nominal_voltage_v: float
    nominal_frequency_hz: float
    protection: ProtectionSettings | None
    """None: there are no settings yet, or they are not confirmed; ``unset`` says so in words."""
    waveform_max_age_s: float
    """Samples older than this are no measurement: the breaker opens."""
    allow_slow: bool = False
    """Accept a ``waveform_max_age_s`` with which the clearing times are not kept."""
    unset: str = ""
    digest: str = ""
    """Eight hex digits over all settings."""
    evse_channels: tuple[EvseChannels, ...] = ()
    factors: Factors = field(default_factory=dict)
    """What the samples of the waveform buffer are corrected by."""
    relay_feedback: Path | None = None
    mains_input: Path | None = None
    interlocks: Mapping[str, Path] = field(default_factory=dict)
    """Contact file of each interlock that is watched, by its name in :data:`v2g.guard.interlocks.INTERLOCK_NAMES`."""
    healthy_open: frozenset[str] = frozenset()
    """Interlocks whose contact is open while all is well."""

    def require_young_samples(self) -> None:
        """Raises :class:`~v2g.grid.settings.SettingsError` when samples may be too old for a clearing time."""
        protection = self.protection
        if protection is not None and not self.allow_slow:
            timing = tick_timing(protection.opening_time_s, self.nominal_frequency_hz)
            require_young_samples(timing, protection.grid.trips, self.waveform_max_age_s)


def interlock_contacts(loaded: Loaded) -> tuple[Mapping[str, Path], frozenset[str]]:
    """Where the contact of each interlock is, and the names of those that are open while all is well."""
    paths = run_paths(loaded.config)
    found, healthy_open = {}, set()
    for channel in interlock_channels(loaded.sensors):
        found[channel.name] = channel.path or paths.contact(channel.name)
        if channel.path is not None and not channel.closed_is_healthy:
            healthy_open.add(channel.name)
    return found, frozenset(healthy_open)


def tick_settings(loaded: Loaded) -> TickSettings:
    """Raises :class:`~v2g.grid.settings.SettingsError` for settings that cannot protect this site."""
    config = loaded.config
    interlocks, healthy_open = interlock_contacts(loaded)
    paths = run_paths(config)
    protection, unset = None, ""
    try:
        protection = protection_settings(config)
    except SettingsUnset as error:
        unset = str(error)
    return TickSettings(
        nominal_voltage_v=config.grid.nominal_voltage_v,
        nominal_frequency_hz=config.grid.nominal_frequency_hz,
        protection=protection,
        waveform_max_age_s=config.waveform.max_age_s,
        allow_slow=config.waveform.allow_slow,
        unset=unset,
        digest=settings_digest(config, loaded.sensors),
        evse_channels=tuple(
            EvseChannels(evse.id, evse.inverter.voltage_channels, evse.inverter.phase_offset_deg)
            for evse in config.dc_evses
            if evse.inverter.voltage_channels is not None
        ),
        factors=sample_factors(config, loaded.sensors),
        relay_feedback=paths.relay_feedback,
        mains_input=paths.mains_input,
        interlocks=interlocks,
        healthy_open=healthy_open,
    )
