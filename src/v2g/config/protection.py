"""The guard's settings out of the configuration, for the guard, the orchestrator and ``--check-config`` alike."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from v2g.config.ratings import discharge_rated_w, phase_rated_a
from v2g.config.schema import Config, Overcurrent
from v2g.config.sensors import sample_factors
from v2g.grid import profiles
from v2g.grid.settings import GridSettings, SettingsError, SettingsUnset
from v2g.hardware.sensor_map import SensorMap

if TYPE_CHECKING:
    from v2g.grid.overcurrent import OvercurrentSettings
    from v2g.grid.protection import ProtectionSettings

UNSET_DIGEST = "00000000"
FEEDER_PICKUP_PU = 1.2
TRANSFORMER_PICKUP_PU = 1.5


def grid_settings(config: Config) -> GridSettings:
    """Raises :class:`~v2g.grid.settings.SettingsUnset` and :class:`~v2g.grid.settings.SettingsError` as
    :func:`v2g.grid.profiles.resolve` does."""
    return _resolved(config, config.grid.confirm_unverified)


def grid_settings_if_confirmed(config: Config) -> GridSettings | None:
    """What would hold if a person confirmed it; None where no profile is named at all. Raises
    :class:`~v2g.grid.settings.SettingsError`."""
    try:
        return _resolved(config, confirmed=True)
    except SettingsUnset:
        return None


def grid_refusals(config: Config) -> tuple[SettingsError, ...]:
    """Everything in the section ``grid`` that lies outside its profile, each with its path."""
    return profiles.refusals(**_arguments(config))


def protection_settings(config: Config) -> ProtectionSettings:
    """Everything that the guard protects by. Raises as :func:`grid_settings`."""
    # Only here: the guard's rooms bring numpy, and reading a configuration does not need it.
    from v2g.grid.protection import ProtectionSettings, RelaySettings

    relay, protection = config.relay, config.protection
    return ProtectionSettings(
        grid=grid_settings(config),
        opening_time_s=config.breaker.opening_time_s,
        closing_time_s=config.breaker.closing_time_s,
        feeder=_overcurrent("feeder", protection.feeder, feeder_rated_a(config), FEEDER_PICKUP_PU),
        transformer=_overcurrent(
            "transformer", protection.transformer, transformer_rated_a(config), TRANSFORMER_PICKUP_PU
        ),
        relay=RelaySettings(setting_pu=relay.setting_pu, delay_s=relay.delay_s, feedback=bool(relay.feedback_path)),
        phase_limit_deg=protection.phase_limit_deg,
        phase_cycles=protection.phase_cycles,
        phase_offset_deg=config.calibration.phase_offset_deg,
    )


def settings_digest(config: Config, sensors: SensorMap) -> str:
    """Eight hex digits that are equal exactly where the guard's settings are, the corrections of its samples included.

    ``00000000`` where they are unset.

    Raises :class:`~v2g.grid.settings.SettingsError`.
    """
    try:
        settings = protection_settings(config)
    except SettingsUnset:
        return UNSET_DIGEST
    own = [(evse.id, evse.inverter.voltage_channels, evse.inverter.phase_offset_deg) for evse in config.dc_evses]
    factors = sorted(sample_factors(config, sensors).items())
    return hashlib.sha256(repr((settings, own, factors)).encode()).hexdigest()[:8]


def nameplate_a(config: Config) -> float:
    """Rated current of each phase by the nameplate, A."""
    return config.transformer.rated_kva * 1000.0 / (3.0 * config.grid.nominal_voltage_v)


def transformer_rated_a(config: Config) -> float:
    """Rated current of each phase, A: as configured, else from the nameplate."""
    return config.protection.transformer.rated_a or nameplate_a(config)


def feeder_rated_a(config: Config) -> float:
    """Of each phase of the V2G feeder, A: as configured, else what all EVSEs draw or deliver together in the phase with
    the most."""
    return config.protection.feeder.rated_a or max(phase_rated_a(config))


def discharge_rated_kva(config: Config) -> float:
    """Aggregate rating of the DER: what all EVSEs deliver together."""
    return sum(discharge_rated_w(evse, config.grid.nominal_voltage_v) for evse in config.evses) / 1000.0


def _resolved(config: Config, confirmed: bool) -> GridSettings:
    settings = profiles.resolve(**_arguments(config), confirmed=confirmed)
    return replace(settings, alarm_window_hz=config.grid.alarm_window_hz)


def _arguments(config: Config) -> dict[str, Any]:
    grid = config.grid
    return {
        "nominal_frequency_hz": grid.nominal_frequency_hz,
        "profile": grid.profile,
        "category": grid.category,
        "trips": {element: _given(change) for element, change in grid.trips.items()},
        "enter_service": _given(grid.enter_service),
        "rated_kva": discharge_rated_kva(config),
    }


def _given(section: msgspec.Struct) -> dict[str, float]:
    return {name: value for name, value in msgspec.structs.asdict(section).items() if value is not None}


def _overcurrent(place: str, section: Overcurrent, rated_a: float, pickup_pu: float) -> OvercurrentSettings:
    from v2g.grid.overcurrent import Curve, OvercurrentSettings

    return OvercurrentSettings(
        place=place,
        rated_a=rated_a,
        pickup_pu=section.pickup_pu or pickup_pu,
        curve=Curve(section.curve),
        time_multiplier=section.time_multiplier,
        instantaneous_pu=section.instantaneous_pu,
        instantaneous_s=section.instantaneous_s,
    )
