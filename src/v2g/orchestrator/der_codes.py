"""From the configuration to what the inverter of a vehicle at an AC EVSE is handed, and what is told of it."""

from __future__ import annotations

from pyiso15118.der import DerState, GridCode
from v2g.config.der import vehicle_settings
from v2g.config.functions import support_settings
from v2g.config.schema import AcEvse, Config
from v2g.control.messages_ac import DerLine
from v2g.grid.settings import SettingsUnset
from v2g.sessions.der import HandedOver, grid_code
from v2g.sessions.der_session import DerSession


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


def der_line(der: DerSession) -> DerLine:
    """For the status."""
    nameplate, state = der.nameplate, der.state or DerState()
    return DerLine(
        inverter=f"{nameplate.manufacturer} {nameplate.model}".strip() if nameplate is not None else "",
        certified=nameplate.certified if nameplate is not None else None,
        in_service=state.in_service,
        connected=state.connected,
        alarms=state.alarms.words,
        grid_event=state.grid_event,
        not_enabled=tuple(map(str, der.not_enabled)),
        code_sent=der.code_sent,
        left_out=tuple(map(str, der.left_out)),
        waits=tuple(map(str, der.waits)),
    )
