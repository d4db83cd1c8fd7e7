"""From the configuration to what the inverter of a vehicle at an AC EVSE is handed."""

from __future__ import annotations

from pyiso15118.der import GridCode
from v2g.config.der import vehicle_settings
from v2g.config.functions import support_settings
from v2g.config.schema import AcEvse, Config
from v2g.grid.settings import SettingsUnset
from v2g.sessions.der import HandedOver, grid_code


def handed_over(evse: AcEvse, config: Config) -> HandedOver | None:
    """None where no grid code is to be handed over: by ``der.protocol``, without discharge, or while no settings for
    this grid are chosen and confirmed, in which case nothing is permitted anyway.

    Raises :class:`~v2g.grid.settings.SettingsError`.
    """
    if evse.der.protocol == "none" or not evse.allow_discharge:
        return None
    try:
        settings = vehicle_settings(config, evse)
    except SettingsUnset:
        return None
    return grid_code(settings, support_settings(config.functions), config.grid.nominal_voltage_v)


def code_of(evse: AcEvse, config: Config) -> GridCode | None:
    """As :func:`handed_over`, the code alone."""
    handed = handed_over(evse, config)
    return None if handed is None else handed.code


def grid_codes(config: Config) -> dict[str, GridCode | None]:
    """By AC EVSE. Raises :class:`~v2g.grid.settings.SettingsError`."""
    return {evse.id: code_of(evse, config) for evse in config.ac_evses}
