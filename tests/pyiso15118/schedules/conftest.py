"""Plain values that can be sent, drawn; messages of any content the schema permits, drawn; a message as plain data."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

import msgspec
import pytest
from hypothesis import strategies as st

from pyiso15118.exi.declarations import Integer, Struct
from pyiso15118.exi.grammar import fields_of
from pyiso15118.messages import common_types as ct
from pyiso15118.schedules import (
    AbsolutePrices,
    AdditionalService,
    ChargingSchedule,
    DynamicSchedule,
    EnergyOffer,
    Overstay,
    OverstayRule,
    PowerProfile,
    PowerSchedule,
    PowerSlot,
    PriceLevel,
    PriceLevels,
    PriceRule,
    PriceStack,
    ScheduleNeeds,
    ScheduleTuple,
    TaxRule,
)


def _optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def _several(strategy: st.SearchStrategy[Any], least: int = 1, most: int = 3) -> st.SearchStrategy[Any]:
    return st.lists(strategy, min_size=least, max_size=most).map(tuple)


def _sendable(low: int = -32768) -> st.SearchStrategy[float]:
    """Numbers that a RationalNumber holds exactly."""
    return st.builds(
        lambda value, exponent: float(ct.RationalNumberType(Exponent=exponent, Value=value)),
        st.integers(low, 32767),
        st.integers(-3, 4),
    )


NUMBERS = _sendable()
DURATIONS = st.integers(1, 2**32 - 1)
STARTS = st.just(0) | st.integers(100_000_000, 4_000_000_000)
IDS = st.integers(1, 2**32 - 1)
PRINTABLE = st.characters(codec="utf-8", categories=["L", "N", "P", "S"])


def _text(longest: int) -> st.SearchStrategy[str]:
    return st.text(PRINTABLE, min_size=1, max_size=longest)


def _slots(powers: st.SearchStrategy[float], by_phase: bool = True) -> st.SearchStrategy[Any]:
    phase = _optional(powers) if by_phase else st.none()
    return _several(
        st.builds(PowerSlot, duration_s=DURATIONS, power_w=powers, power_l2_w=phase, power_l3_w=phase), most=5
    )


SIGNATURE_IDS = _optional(st.from_regex(r"[A-Za-z_][A-Za-z0-9_.\-]{0,20}", fullmatch=True))
RULES = st.lists(
    st.builds(
        PriceRule,
        energy_fee=NUMBERS,
        power_range_start_w=NUMBERS,
        parking_fee=_optional(NUMBERS),
        parking_fee_period_s=_optional(st.integers(0, 2**32 - 1)),
        co2_g_per_kwh=_optional(st.integers(0, 65535)),
        renewable_pct=_optional(st.integers(0, 100)),
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda rule: rule.power_range_start_w,
).map(tuple)
LEVELS = st.builds(
    PriceLevels,
    starts_at_unix_s=STARTS,
    id=IDS,
    number_of_levels=st.just(255),
    slots=_several(st.builds(PriceLevel, duration_s=DURATIONS, level=st.integers(0, 255))),
    description=_optional(_text(160)),
    signature_id=SIGNATURE_IDS,
)
PRICES = st.builds(
    AbsolutePrices,
    starts_at_unix_s=STARTS,
    id=IDS,
    currency=st.text(PRINTABLE, min_size=3, max_size=3),
    stacks=_several(st.builds(PriceStack, duration_s=DURATIONS, rules=RULES)),
    language=_text(3),
    algorithm=_text(60),
    description=_optional(_text(160)),
    minimum_cost=_optional(NUMBERS),
    maximum_cost=_optional(NUMBERS),
    taxes=_several(
        st.builds(
            TaxRule,
            id=IDS,
            rate_pct=NUMBERS,
            name=_optional(_text(80)),
            included_in_price=_optional(st.booleans()),
            on_energy_fee=st.booleans(),
            on_parking_fee=st.booleans(),
            on_overstay_fee=st.booleans(),
            on_minimum_maximum_cost=st.booleans(),
        ),
        least=0,
    ),
    overstay=_optional(
        st.builds(
            Overstay,
            rules=_several(
                st.builds(
                    OverstayRule,
                    starts_after_s=st.integers(0, 2**32 - 1),
                    fee=NUMBERS,
                    fee_period_s=st.integers(0, 2**32 - 1),
                    description=_optional(_text(160)),
                )
            ),
            time_threshold_s=_optional(st.integers(0, 2**32 - 1)),
            power_threshold_w=_optional(NUMBERS),
        )
    ),
    services=_several(st.builds(AdditionalService, name=_text(80), fee=NUMBERS), least=0),
    signature_id=SIGNATURE_IDS,
)


def _schedules(sign: int) -> st.SearchStrategy[ChargingSchedule]:
    magnitudes = _sendable(0)
    more = _optional(_sendable(1)) if sign > 0 else st.none()
    return st.builds(
        ChargingSchedule,
        power=st.builds(
            PowerSchedule,
            starts_at_unix_s=STARTS,
            slots=_slots(magnitudes.map(lambda power: sign * power)),
            available_energy_wh=more,
            tolerance_w=_optional(_sendable(1)),
        ),
        prices=_optional(LEVELS | PRICES),
    )


TUPLES = st.builds(ScheduleTuple, id=IDS, charging=_schedules(1), discharging=_optional(_schedules(-1)))
VALUES: dict[type[Any], st.SearchStrategy[Any]] = {
    PowerProfile: st.builds(PowerProfile, starts_at_unix_s=STARTS, slots=_slots(NUMBERS), selected_tuple_id=st.none())
    | st.builds(
        PowerProfile,
        starts_at_unix_s=STARTS,
        slots=_slots(NUMBERS),
        selected_tuple_id=IDS,
        tolerance_accepted=_optional(st.booleans()),
    ),
    ScheduleTuple: TUPLES,
    DynamicSchedule: st.builds(
        DynamicSchedule,
        departure_time_s=_optional(st.integers(0, 2**32 - 1)),
        min_soc_pct=_optional(st.integers(0, 50)),
        target_soc_pct=_optional(st.integers(50, 100)),
        prices=_optional(LEVELS | PRICES),
    ),
    ScheduleNeeds: st.builds(
        ScheduleNeeds,
        departure_time_s=_optional(st.integers(0, 2**32 - 1)),
        target_energy_wh=_optional(NUMBERS),
        max_energy_wh=_optional(NUMBERS),
        min_energy_wh=_optional(NUMBERS),
        offer=_optional(
            st.builds(
                EnergyOffer,
                starts_at_unix_s=STARTS,
                slots=_slots(_sendable(0).map(lambda power: -power), by_phase=False),
                currency=st.text(PRINTABLE, min_size=3, max_size=3),
                stacks=_several(
                    st.builds(
                        PriceStack,
                        duration_s=DURATIONS,
                        rules=st.lists(
                            st.builds(PriceRule, energy_fee=NUMBERS, power_range_start_w=NUMBERS),
                            min_size=1,
                            max_size=3,
                            unique_by=lambda rule: rule.power_range_start_w,
                        ).map(tuple),
                    )
                ),
                algorithm=_text(60),
            )
        ),
    ),
}


@pytest.fixture(scope="session")
def values() -> dict[type[Any], st.SearchStrategy[Any]]:
    """For each kind of value, those that can be sent as they are."""
    return VALUES


@st.composite
def _wire(draw: st.DrawFn, cls: type[Struct]) -> Struct:
    fields: dict[str, Any] = {}
    choosing: dict[str, list[Any]] = {}
    for field in fields_of(cls):
        if field.choice is not None:
            choosing.setdefault(field.choice, []).append(field)
        elif field.minimum or draw(st.booleans()):
            fields[field.name] = draw(_wire_contents(field))
    for choice, alternatives in choosing.items():
        chosen = draw(st.sampled_from(alternatives if choice == "choice" else [None, *alternatives]))
        if chosen is not None:
            fields[chosen.name] = draw(_wire_contents(chosen))
    return cls(**fields)


def _wire_contents(field: Any) -> st.SearchStrategy[Any]:
    if field.name == "TimeAnchor":
        # Seconds of 1970-01-01 written in microseconds would be read as seconds of a later time.
        return st.just(0) | st.integers(100_000, 2**64 - 1) | st.integers(10**9, 2 * 10**15)
    item = _wire_value(field.datatypes[0])
    return st.lists(item, min_size=1, max_size=3) if field.repeated else item


def _wire_value(datatype: Any) -> st.SearchStrategy[Any]:
    if datatype is bool:
        return st.booleans()
    if isinstance(datatype, Integer):
        return st.integers(datatype.minimum, datatype.maximum)
    if isinstance(datatype, type) and issubclass(datatype, Enum):
        return st.sampled_from(list(datatype))
    if isinstance(datatype, type) and issubclass(datatype, ct.RationalNumberType):
        # The schema's whole range, and the smaller one that is meant, so that both outcomes are met.
        return _wire(datatype) | st.builds(datatype, Exponent=st.integers(-3, 4), Value=st.integers(-32768, 32767))
    if isinstance(datatype, type) and issubclass(datatype, Struct):
        return _wire(datatype)
    return st.text(max_size=min(datatype.max_length or 40, 40))


@pytest.fixture(scope="session")
def wire() -> Callable[[type[Struct]], st.SearchStrategy[Struct]]:
    """Messages of a type, of any content that the schema permits."""
    return _wire


def _plain(message: Any) -> Any:
    if isinstance(message, ct.RationalNumberType):
        return float(message)
    if isinstance(message, msgspec.Struct):
        return {name: _plain(getattr(message, name)) for name in message.__struct_fields__}
    return [_plain(item) for item in message] if isinstance(message, list) else message


@pytest.fixture(scope="session")
def plain() -> Callable[[Any], Any]:
    """A message as dicts, lists and floats: two ways to write the same RationalNumber are alike."""
    return _plain
