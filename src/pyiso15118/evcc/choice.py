"""Which of an EVSE's parameter sets the vehicle takes."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import TypeVar

from pyiso15118.der import iec_bits
from pyiso15118.evcc.config import EvccConfig
from pyiso15118.evcc.session import ServiceParameters
from pyiso15118.events import BptChannel, ControlMode, EnergyService, GeneratorMode, MobilityNeedsMode
from pyiso15118.messages import common_messages as cm

_Mode = TypeVar("_Mode", bound=enum.IntEnum)


def best_parameters(
    sets: Sequence[cm.ParameterSetType], service: EnergyService, config: EvccConfig
) -> ServiceParameters | None:
    """The most wanted set by the order of the configuration's preferences, of equals that with the lowest id; None if
    the vehicle can use none of them."""
    usable = [
        (rank, parameters.id, parameters)
        for parameters in (_read(s, service) for s in sets if _is_able(s, service, config))
        if parameters is not None and (rank := _rank(parameters, service, config)) is not None
    ]
    return min(usable, key=lambda entry: entry[:2])[2] if usable else None


def _read(parameter_set: cm.ParameterSetType, service: EnergyService) -> ServiceParameters | None:
    """None for a set without control mode, or with a value that this vehicle does not know.

    The parameters of bidirectional power count for services only that have them.
    """
    values, named = _integers(parameter_set), service.has_bpt_parameters
    try:
        return ServiceParameters(
            id=parameter_set.ParameterSetID,
            control_mode=ControlMode(values["ControlMode"]),
            mobility_needs_mode=MobilityNeedsMode(values.get("MobilityNeedsMode", MobilityNeedsMode.BY_EVCC)),
            bpt_channel=BptChannel(values.get("BPTChannel", BptChannel.UNIFIED) if named else 1),
            generator_mode=GeneratorMode(values.get("GeneratorMode", GeneratorMode.GRID_FOLLOWING) if named else 1),
            nominal_voltage_v=values.get("EVSENominalVoltage"),
        )
    except (KeyError, ValueError):
        return None


def _is_able(parameter_set: cm.ParameterSetType, service: EnergyService, config: EvccConfig) -> bool:
    """Under AC_DER_IEC a set names the functions that the EVSE asks for; each has to be the inverter's ([V2G20-3191]).
    The voltage it names is what the grid code is per unit of."""
    if service is not EnergyService.AC_DER_IEC:
        return True
    values = _integers(parameter_set)
    demanded, able = values.get("DERControlFunctions", 0), iec_bits(config.der.functions if config.der else ())
    return demanded & ~able == 0 and values.get("EVSENominalVoltage", 0) > 0


def _rank(parameters: ServiceParameters, service: EnergyService, config: EvccConfig) -> tuple[int, ...] | None:
    """How much a set is wanted, less being more; None if it cannot be used.

    Who provides the mobility needs is asked in dynamic mode only: a schedule is the vehicle's choice.
    """
    wanted = [_place(parameters.control_mode, config.control_modes)]
    if parameters.control_mode is ControlMode.DYNAMIC:
        wanted.append(_place(parameters.mobility_needs_mode, config.mobility_needs_modes))
    if service.has_bpt_parameters:
        wanted.append(_place(parameters.bpt_channel, config.bpt_channels))
        wanted.append(_place(parameters.generator_mode, config.generator_modes))
    places = [place for place in wanted if place is not None]
    return tuple(places) if len(places) == len(wanted) else None


def _place(mode: _Mode, preferences: Sequence[_Mode]) -> int | None:
    return preferences.index(mode) if mode in preferences else None


def _integers(parameter_set: cm.ParameterSetType) -> dict[str, int]:
    """Parameters with an integer value of any width, by name. Of a name given twice the last counts."""
    values: dict[str, int] = {}
    for parameter in parameter_set.Parameter:
        for value in (parameter.intValue, parameter.shortValue, parameter.byteValue):
            if value is not None:
                values[parameter.Name] = value
    return values
