"""What a grid code may ask of an inverter, function by function, and the bits that stand for it on the wire.

The positions of SAE's SupportedModes and EnabledModes and of IEC's DERControlFunctions are those that EVerest documents
(``lib/everest/iso15118/include/iso15118/d20/der_functions.hpp``). The alarms are those of IEEE 2030.5 DERStatus; that
DERAlarmStatus has its positions is our reading, no public source says so.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyiso15118.der.values import GridCode


class DerFunction(enum.StrEnum):
    """The value is what people are told."""

    CHARGE = "charge"
    DISCHARGE = "discharge"
    ENTER_SERVICE = "enter service"
    POWER_FACTOR_UNDER_EXCITED = "constant power factor, under-excited"
    POWER_FACTOR_OVER_EXCITED = "constant power factor, over-excited"
    CONSTANT_VAR = "constant reactive power"
    CONSTANT_WATT = "constant active power"
    FREQUENCY_DROOP = "frequency droop"
    OVER_FREQUENCY_MAY_TRIP = "over-frequency ride-through"
    OVER_FREQUENCY_MUST_TRIP = "over-frequency trip"
    OVER_VOLTAGE_MAY_TRIP = "over-voltage ride-through"
    OVER_VOLTAGE_CESSATION = "over-voltage momentary cessation"
    OVER_VOLTAGE_MUST_TRIP = "over-voltage trip"
    UNDER_FREQUENCY_MAY_TRIP = "under-frequency ride-through"
    UNDER_FREQUENCY_MUST_TRIP = "under-frequency trip"
    UNDER_VOLTAGE_MAY_TRIP = "under-voltage ride-through"
    UNDER_VOLTAGE_CESSATION = "under-voltage momentary cessation"
    UNDER_VOLTAGE_MUST_TRIP = "under-voltage trip"
    DISCHARGE_LIMIT = "limit of discharge power"
    REACTIVE_TARGET = "target of reactive power"
    ACTIVE_TARGET = "target of active power"
    VOLT_VAR = "volt-var"
    VOLT_WATT = "volt-watt"
    WATT_VAR = "watt-var"
    WATT_POWER_FACTOR = "power factor by active power"
    DC_INJECTION = "limit of DC injection"
    OVER_VOLTAGE_SUPPORT = "dynamic support at over-voltage"
    UNDER_VOLTAGE_SUPPORT = "dynamic support at under-voltage"


class DerAlarm(enum.IntFlag):
    """Bits of DERAlarmStatus."""

    OVER_CURRENT = 1 << 0
    OVER_VOLTAGE = 1 << 1
    UNDER_VOLTAGE = 1 << 2
    OVER_FREQUENCY = 1 << 3
    UNDER_FREQUENCY = 1 << 4
    VOLTAGE_IMBALANCE = 1 << 5
    CURRENT_IMBALANCE = 1 << 6
    EMERGENCY_LOCAL = 1 << 7
    EMERGENCY_REMOTE = 1 << 8
    LOW_POWER_INPUT = 1 << 9
    PHASE_ROTATION = 1 << 10

    @property
    def words(self) -> str:
        """``under voltage, over frequency``; bits without a meaning by their number."""
        known = [alarm.name or "" for alarm in DerAlarm if alarm in self]
        unknown = int(self) & ~sum(DerAlarm)
        rest = [f"bit {bit}" for bit in range(32) if unknown >> bit & 1]
        return ", ".join([name.lower().replace("_", " ") for name in known] + rest)


NO_ALARM = DerAlarm(0)
_F = DerFunction
SAE_BITS: Mapping[DerFunction, int] = {
    _F.CHARGE: 0,
    _F.DISCHARGE: 1,
    _F.ENTER_SERVICE: 3,
    _F.POWER_FACTOR_UNDER_EXCITED: 4,
    _F.POWER_FACTOR_OVER_EXCITED: 5,
    _F.CONSTANT_VAR: 6,
    _F.CONSTANT_WATT: 7,
    _F.FREQUENCY_DROOP: 8,
    _F.OVER_FREQUENCY_MAY_TRIP: 10,
    _F.OVER_FREQUENCY_MUST_TRIP: 11,
    _F.OVER_VOLTAGE_MAY_TRIP: 12,
    _F.OVER_VOLTAGE_CESSATION: 13,
    _F.OVER_VOLTAGE_MUST_TRIP: 14,
    _F.UNDER_FREQUENCY_MAY_TRIP: 15,
    _F.UNDER_FREQUENCY_MUST_TRIP: 16,
    _F.UNDER_VOLTAGE_MAY_TRIP: 17,
    _F.UNDER_VOLTAGE_CESSATION: 18,
    _F.UNDER_VOLTAGE_MUST_TRIP: 19,
    _F.DISCHARGE_LIMIT: 20,
    _F.REACTIVE_TARGET: 21,
    _F.ACTIVE_TARGET: 22,
    _F.VOLT_VAR: 23,
    _F.VOLT_WATT: 24,
    _F.WATT_VAR: 26,
}
IEC_BITS: Mapping[DerFunction, tuple[int, ...]] = {
    # Over- and under-frequency have a bit each.
    _F.FREQUENCY_DROOP: (0, 1),
    _F.VOLT_WATT: (2,),
    _F.VOLT_VAR: (3,),
    _F.WATT_VAR: (4,),
    _F.WATT_POWER_FACTOR: (5,),
    _F.CONSTANT_VAR: (6,),
    _F.POWER_FACTOR_OVER_EXCITED: (7,),
    _F.POWER_FACTOR_UNDER_EXCITED: (7,),
    _F.DC_INJECTION: (8,),
    _F.OVER_VOLTAGE_CESSATION: (9,),
    _F.UNDER_VOLTAGE_CESSATION: (9,),
    _F.OVER_VOLTAGE_SUPPORT: (10,),
    _F.UNDER_VOLTAGE_SUPPORT: (11,),
}
IEC_FUNCTIONS = 12
"""How many bits DERControlFunctions has."""
SAE_TARGETS = frozenset({_F.CHARGE, _F.DISCHARGE, _F.ACTIVE_TARGET, _F.REACTIVE_TARGET})
"""Of a service in any case; no setting enables them."""


def sae_bits(functions: Iterable[DerFunction]) -> int:
    """SupportedModes or EnabledModes; functions that SAE has no bit for are left out."""
    return sum(1 << SAE_BITS[function] for function in set(functions) if function in SAE_BITS)


def sae_functions(bits: int) -> frozenset[DerFunction]:
    """Bits without a meaning are ignored ([V2G20-3411])."""
    return frozenset(function for function, bit in SAE_BITS.items() if bits >> bit & 1)


def iec_bits(functions: Iterable[DerFunction]) -> int:
    """DERControlFunctions; functions that IEC has no bit for are left out."""
    return sum(1 << bit for bit in {bit for function in functions for bit in IEC_BITS.get(function, ())})


def iec_functions(bits: int) -> frozenset[DerFunction]:
    """Every function of which a bit is set. Bits above the twelfth mean nothing that is known."""
    return frozenset(function for function, own in IEC_BITS.items() if any(bits >> bit & 1 for bit in own))


def functions_of(code: GridCode) -> frozenset[DerFunction]:
    """What ``code`` asks for."""
    found: set[DerFunction] = set()
    must, may = code.must_trip, code.may_trip
    asked = {
        _F.OVER_VOLTAGE_MUST_TRIP: must.over_voltage,
        _F.UNDER_VOLTAGE_MUST_TRIP: must.under_voltage,
        _F.OVER_FREQUENCY_MUST_TRIP: must.over_frequency,
        _F.UNDER_FREQUENCY_MUST_TRIP: must.under_frequency,
        _F.OVER_VOLTAGE_MAY_TRIP: may.over_voltage,
        _F.UNDER_VOLTAGE_MAY_TRIP: may.under_voltage,
        _F.OVER_FREQUENCY_MAY_TRIP: may.over_frequency,
        _F.UNDER_FREQUENCY_MAY_TRIP: may.under_frequency,
        _F.OVER_VOLTAGE_CESSATION: code.cessation.over_pu is not None,
        _F.UNDER_VOLTAGE_CESSATION: code.cessation.under_pu is not None,
        _F.ENTER_SERVICE: code.enter_service is not None,
        _F.FREQUENCY_DROOP: code.frequency_droop is not None,
        _F.VOLT_VAR: code.volt_var is not None,
        _F.VOLT_WATT: code.volt_watt is not None,
        _F.WATT_VAR: code.watt_var is not None,
        _F.CONSTANT_VAR: code.set_var_pu is not None,
        _F.DISCHARGE_LIMIT: code.discharge_limit_pu is not None,
        _F.POWER_FACTOR_OVER_EXCITED: code.power_factor is not None and code.power_factor.over_excited,
        _F.POWER_FACTOR_UNDER_EXCITED: code.power_factor is not None and not code.power_factor.over_excited,
    }
    found.update(function for function, wanted in asked.items() if wanted)
    return frozenset(found)
