"""Whether a vehicle's inverter can be handed what the sections ``evses[].der`` make of the grid settings."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from v2g.config.der import vehicle_refusals, vehicle_settings
from v2g.config.problems import Report
from v2g.config.protection import grid_refusals
from v2g.config.schema import AcEvse, Config
from v2g.config.schema_der import Der
from v2g.grid.settings import SettingsError, SettingsUnset, Side


def check_der(config: Config, report: Report) -> None:
    """Values outside the profile, and a protocol at an EVSE that does not discharge."""
    grid_is_right = not grid_refusals(config)
    for position, evse in enumerate(config.evses):
        if not isinstance(evse, AcEvse):
            continue
        path = f"evses[{position}].der"
        if evse.der.protocol != "none" and not evse.allow_discharge:
            report.add(
                f"{path}.protocol",
                repr(evse.der.protocol),
                "hands a grid code to a vehicle that may not discharge here",
                f"write evses[{position}].allow_discharge: true, or protocol: none",
            )
        if not grid_is_right:
            continue
        for error in vehicle_refusals(config, evse):
            report.add(f"{path}.{error.path}", error.value, error.reason, error.remedy)


def der_suspicions(config: Config) -> Iterator[str]:
    """For a configuration without problems."""
    for position, evse in enumerate(config.evses):
        if not isinstance(evse, AcEvse):
            continue
        path = f"evses[{position}].der"
        if evse.der.protocol == "none":
            if evse.der.trips:
                yield f"{path}.trips changes nothing while {path}.protocol is none"
            continue
        if evse.der.protocol in ("iec", "both"):
            yield (
                f"{path}.protocol is {evse.der.protocol}: AC_DER_IEC has no words for trips and for entering service, "
                "so that the guard alone sees to them"
            )
        yield from _later(config, evse, path)


def _later(config: Config, evse: AcEvse, path: str) -> Iterator[str]:
    """A vehicle that may stay for longer than the guard lets it is opened by the guard."""
    try:
        own = vehicle_settings(config, evse)
    except (SettingsUnset, SettingsError):
        return
    guard = vehicle_settings(config, _without_own(evse))
    for element in evse.der.trips:
        mine, ours = own.trips.element(element), guard.trips.element(element)
        wider = mine.threshold > ours.threshold if mine.side is Side.OVER else mine.threshold < ours.threshold
        if wider or mine.time_s > ours.time_s:
            yield (
                f"{path}.trips.{element} lets the vehicle stay for longer than grid.trips does: there the guard opens "
                "its contactor, and the vehicle's inverter trips for nothing"
            )


def _without_own(evse: AcEvse) -> AcEvse:
    return replace(evse, der=Der())
