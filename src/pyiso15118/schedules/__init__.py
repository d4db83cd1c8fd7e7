"""Schedules, prices and power profiles as plain values, and their way into messages and back.

>>> less_later = ScheduleTuple(id=1, charging=ChargingSchedule(power=PowerSchedule.of((3600, 11_000), (7200, 3_700))))
>>> both_ways = flat_schedule(11_000, discharge_power_w=-7_400, prices=flat_prices(0.31, "EUR"), id=2)
>>> offered = [offer.starting(1_800_000_000) for offer in (less_later, both_ways)]
>>> message = tuples_to_message(offered)
>>> profile_problem(follow(tuples_from_message(message)[1]), offered)

Every value has ``to_message()``, which raises :class:`pyiso15118.errors.LocalProtocolError` naming the field that
cannot be sent, and ``from_message()``, which raises nothing but :class:`pyiso15118.errors.RemoteProtocolError`;
``where`` is what their errors call the value. Power is positive to charge and negative to discharge; times are Unix
seconds, 0 where none is named; durations are seconds, energies Wh.
"""

from pyiso15118.schedules.needs import EnergyOffer, ScheduleNeeds
from pyiso15118.schedules.offers import (
    ChargingSchedule,
    DynamicSchedule,
    ScheduleTuple,
    flat_schedule,
    tuples_from_message,
    tuples_to_message,
)
from pyiso15118.schedules.power import PowerProfile, PowerSchedule, PowerSlot
from pyiso15118.schedules.price_rules import AdditionalService, Overstay, OverstayRule, PriceRule, PriceStack, TaxRule
from pyiso15118.schedules.prices import (
    BY_PEAK_POWER,
    BY_POWER,
    BY_STACKED_ENERGY,
    AbsolutePrices,
    PriceLevel,
    PriceLevels,
    Prices,
    flat_prices,
)
from pyiso15118.schedules.profiles import PowerWatch, ProfileProblem, follow, profile_problem, tolerance_code

__all__ = [
    "BY_PEAK_POWER",
    "BY_POWER",
    "BY_STACKED_ENERGY",
    "AbsolutePrices",
    "AdditionalService",
    "ChargingSchedule",
    "DynamicSchedule",
    "EnergyOffer",
    "Overstay",
    "OverstayRule",
    "PowerProfile",
    "PowerSchedule",
    "PowerSlot",
    "PowerWatch",
    "PriceLevel",
    "PriceLevels",
    "PriceRule",
    "PriceStack",
    "Prices",
    "ProfileProblem",
    "ScheduleNeeds",
    "ScheduleTuple",
    "TaxRule",
    "flat_prices",
    "flat_schedule",
    "follow",
    "profile_problem",
    "tolerance_code",
    "tuples_from_message",
    "tuples_to_message",
]
