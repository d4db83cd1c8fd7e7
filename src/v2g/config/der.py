"""The grid settings that a vehicle is handed at an AC EVSE: those of the guard, with what ``der`` changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec

from v2g.config.protection import discharge_rated_kva
from v2g.config.schema import AcEvse, Config
from v2g.grid import profiles
from v2g.grid.settings import GridSettings, SettingsError


def vehicle_settings(config: Config, evse: AcEvse) -> GridSettings:
    """Raises :class:`~v2g.grid.settings.SettingsUnset` and :class:`~v2g.grid.settings.SettingsError` as
    :func:`v2g.grid.profiles.resolve` does."""
    settings = profiles.resolve(**_arguments(config, evse), confirmed=config.grid.confirm_unverified)
    return replace(settings, alarm_window_hz=config.grid.alarm_window_hz)


def vehicle_refusals(config: Config, evse: AcEvse) -> tuple[SettingsError, ...]:
    """What of ``der`` lies outside its profile; the path begins with ``trips`` or ``enter_service``."""
    own = {f"trips.{element}" for element in evse.der.trips} | {
        f"enter_service.{name}" for name in _given(evse.der.enter_service)
    }
    found = []
    for error in profiles.refusals(**_arguments(config, evse)):
        path = error.path.removeprefix("grid.")
        if any(path == one or path.startswith(f"{one}.") for one in own):
            found.append(SettingsError(error.reason, path=path, value=error.value, remedy=error.remedy))
    return tuple(found)


def _arguments(config: Config, evse: AcEvse) -> dict[str, Any]:
    grid, der = config.grid, evse.der
    trips = {element: _given(change) for element, change in grid.trips.items()}
    for element, change in der.trips.items():
        trips[element] = trips.get(element, {}) | _given(change)
    enter_service = _given(grid.enter_service) | _given(der.enter_service)
    if enter_service.get("random_delay_s", 0.0) > 0.0 and der.enter_service.ramp_s is None:
        enter_service.pop("ramp_s", None)
    return {
        "nominal_frequency_hz": grid.nominal_frequency_hz,
        "profile": grid.profile,
        "category": grid.category,
        "trips": trips,
        "enter_service": enter_service,
        "rated_kva": discharge_rated_kva(config),
    }


def _given(section: msgspec.Struct) -> dict[str, float]:
    return {name: value for name, value in msgspec.structs.asdict(section).items() if value is not None}
