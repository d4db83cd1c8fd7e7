"""Schedule tuples and the settings of dynamic mode: what an EVSE can offer, and how an offer is read."""

from __future__ import annotations

import doctest
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from pyiso15118 import exi, schedules
from pyiso15118.errors import LocalProtocolError, RemoteProtocolError
from pyiso15118.messages import Namespace
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages import common_types as ct
from pyiso15118.schedules import (
    AbsolutePrices,
    ChargingSchedule,
    DynamicSchedule,
    PowerSchedule,
    PowerSlot,
    PriceLevel,
    PriceLevels,
    PriceRule,
    PriceStack,
    ScheduleTuple,
    flat_prices,
    flat_schedule,
    tuples_from_message,
    tuples_to_message,
)

START = 1_800_000_000
FLAT = flat_schedule(11_000.0, 7200, START, discharge_power_w=-7_400.0)


def power(*powers_w: float) -> PowerSchedule:
    return PowerSchedule(starts_at_unix_s=START, slots=tuple(PowerSlot(duration_s=600, power_w=p) for p in powers_w))


def levels(id: int = 1, number: int = 1) -> PriceLevels:
    return PriceLevels(
        starts_at_unix_s=START, id=id, number_of_levels=number, slots=(PriceLevel(duration_s=600, level=0),)
    )


def test_a_flat_schedule_is_one_power_each_way_and_one_price() -> None:
    assert FLAT.charging.power == PowerSchedule(
        starts_at_unix_s=START, slots=(PowerSlot(duration_s=7200, power_w=11_000.0),)
    )
    assert FLAT.discharging is not None
    assert FLAT.discharging.power.slots == (PowerSlot(duration_s=7200, power_w=-7_400.0),)
    message = tuples_to_message((FLAT,))
    assert tuples_from_message(message) == (FLAT,)
    assert (
        exi.decode_fragment(Namespace.COMMON_MESSAGES, exi.encode_fragment(message, Namespace.COMMON_MESSAGES))
        == message
    )
    # Each price schedule of a response has an id of its own.
    second = flat_schedule(5_000.0, 7200, START, discharge_power_w=0.0, id=2)
    prices = [s.prices for t in (FLAT, second) for s in (t.charging, t.discharging) if s is not None]
    assert [p.id for p in prices if p is not None] == [1, 2, 3, 4]


def test_without_more_words_a_flat_schedule_charges_only_for_a_day_from_when_it_is_sent() -> None:
    plain = flat_schedule(11_000)
    assert plain.discharging is None
    assert plain.charging.power.duration_s == 86_400
    sent = plain.starting(START)
    assert sent.charging.power.starts_at_unix_s == START
    assert sent.charging.prices is not None
    assert sent.charging.prices.starts_at_unix_s == START
    assert FLAT.starting(START + 60) == FLAT


def test_the_examples_of_the_package_are_true() -> None:
    assert doctest.testmod(schedules) == doctest.TestResults(failed=0, attempted=5)


def test_flat_prices_are_one_fee_per_kwh() -> None:
    prices = flat_prices(0.31, "EUR", 7200, START, id=5)
    assert AbsolutePrices.from_message(prices.to_message()) == prices
    assert prices.id == 5
    assert prices.stacks == (PriceStack(duration_s=7200, rules=(PriceRule(energy_fee=0.31),)),)


def test_prices_are_the_owners_where_given() -> None:
    offer = flat_schedule(1.0, prices=levels(8), discharge_power_w=-1.0, discharge_prices=levels(9))
    assert offer.charging.prices == levels(8)
    assert offer.discharging is not None
    assert offer.discharging.prices == levels(9)


def test_discharging_powers_are_negative_on_the_wire_and_positive_ones_are_turned() -> None:
    message = FLAT.to_message()
    assert message.DischargingSchedule is not None
    entry = message.DischargingSchedule.PowerSchedule.PowerScheduleEntries.PowerScheduleEntry[0]
    assert float(entry.Power) == -7_400.0
    ecog = msgspec.structs.replace(
        message,
        DischargingSchedule=ChargingSchedule(
            power=PowerSchedule(
                starts_at_unix_s=START,
                slots=(PowerSlot(duration_s=7200, power_w=1_000.0, power_l2_w=-2_000.0, power_l3_w=3_000.0),),
            )
        ).to_message(),
    )
    read = ScheduleTuple.from_message(ecog)
    assert read.discharging is not None
    assert read.discharging.power.slots[0].powers_w == (-1_000.0, -2_000.0, -3_000.0)


def test_a_negative_power_in_a_charging_schedule_is_a_remote_protocol_error() -> None:
    message = msgspec.structs.replace(
        FLAT.to_message(), ChargingSchedule=ChargingSchedule(power=power(1.0, -1.0)).to_message()
    )
    with pytest.raises(RemoteProtocolError, match="ChargingSchedule: the power of entry 1 is negative"):
        ScheduleTuple.from_message(message)


def test_signature_ids_are_told_apart_and_alike_every_time() -> None:
    signed = FLAT.with_signature_ids()
    assert signed == FLAT.with_signature_ids()
    assert signed.discharging is not None
    message = signed.to_message()
    assert message.DischargingSchedule is not None
    ids = [
        s.PriceLevelSchedule.Id
        for s in (message.ChargingSchedule, message.DischargingSchedule)
        if s.PriceLevelSchedule is not None
    ]
    assert ids == ["prices_1_charging", "prices_1_discharging"]
    assert flat_schedule(1.0).with_signature_ids().charging.prices != signed.charging.prices
    own = replace(FLAT, charging=replace(FLAT.charging, prices=replace(levels(), signature_id="of_the_cso")))
    prices = own.with_signature_ids().charging.prices
    assert prices is not None
    assert prices.signature_id == "of_the_cso"
    assert replace(FLAT, charging=ChargingSchedule(power=power(1.0))).with_signature_ids().charging.prices is None


def test_each_power_and_price_of_a_tuple_is_sent_under_its_own_element() -> None:
    bare = ChargingSchedule(power=power(0.0)).to_message()
    assert bare.AbsolutePriceSchedule is None
    assert bare.PriceLevelSchedule is None
    assert FLAT.charging.to_message().AbsolutePriceSchedule is None


def charging(schedule: PowerSchedule) -> tuple[ScheduleTuple, ...]:
    return (replace(FLAT, charging=ChargingSchedule(power=schedule)),)


def discharging(schedule: PowerSchedule) -> tuple[ScheduleTuple, ...]:
    return (replace(FLAT, discharging=ChargingSchedule(power=schedule)),)


def signed(*names: str) -> tuple[ScheduleTuple, ...]:
    return tuple(
        ScheduleTuple(id=i, charging=ChargingSchedule(power=power(1.0), prices=replace(levels(i), signature_id=name)))
        for i, name in enumerate(names, 1)
    )


@pytest.mark.parametrize(
    ("tuples", "named"),
    [
        ((), "tuples has 0 entries, must have 1..3"),
        (tuple(flat_schedule(1.0, id=i) for i in range(1, 5)), "tuples has 4 entries"),
        ((FLAT, FLAT), "two of them have the same id"),
        ((flat_schedule(1.0, id=0),), r"tuples\[0\].id is 0"),
        (charging(power(1.0, -0.5)), r"tuples\[0\].charging.power.slots\[1\].power_w is -0.5, must be >= 0"),
        (
            charging(replace(power(), slots=(PowerSlot(duration_s=1, power_w=1.0, power_l3_w=-2.0),))),
            r"tuples\[0\].charging.power.slots\[0\].power_l3_w is -2.0",
        ),
        (discharging(power(-1.0, 0.5)), r"tuples\[0\].discharging.power.slots\[1\].power_w is 0.5, must be <= 0"),
        (
            discharging(replace(power(-1.0), available_energy_wh=1.0)),
            r"tuples\[0\].discharging.power.available_energy_wh is set",
        ),
        (charging(replace(power(1.0), slots=())), r"tuples\[0\].charging.power.slots has 0 entries"),
        (signed("a", "a"), r"tuples\[1\].charging.prices.signature_id is that of other prices"),
        (
            tuple(
                ScheduleTuple(id=i, charging=ChargingSchedule(power=power(1.0), prices=levels(i, number=i)))
                for i in (1, 2)
            ),
            r"number_of_levels differs among charging prices: \[1, 2\]",
        ),
    ],
)
def test_what_no_offer_can_be_is_refused_by_name(tuples: tuple[ScheduleTuple, ...], named: str) -> None:
    with pytest.raises(LocalProtocolError, match=named):
        tuples_to_message(tuples)


def test_no_list_is_longer_than_the_vehicle_takes() -> None:
    long = ScheduleTuple(id=1, charging=ChargingSchedule(power=power(*[1.0] * 13)))
    assert len(tuples_to_message((long,), max_points=13).ScheduleTuple) == 1
    with pytest.raises(
        LocalProtocolError, match=r"power.slots has 13 entries, must have 1..12, the most that the vehicle"
    ):
        tuples_to_message((long,), max_points=12)
    many = replace(levels(), slots=(PriceLevel(duration_s=600, level=0),) * 13)
    with pytest.raises(LocalProtocolError, match=r"discharging.prices.slots has 13 entries"):
        tuples_to_message((flat_schedule(1.0, discharge_power_w=-1.0, discharge_prices=many),), max_points=12)


def test_three_tuples_are_sent_and_read() -> None:
    tuples = tuple(flat_schedule(1000.0 * i, id=i) for i in (1, 2, 3))
    assert tuples_from_message(tuples_to_message(tuples)) == tuples


def test_an_offer_of_no_tuples_is_a_remote_protocol_error() -> None:
    with pytest.raises(RemoteProtocolError, match="ScheduleTuple is empty"):
        tuples_from_message(cm.Scheduled_SEResControlModeType(ScheduleTuple=[]))


def test_dynamic_mode_says_nothing_by_default_and_what_it_is_told_otherwise() -> None:
    assert DynamicSchedule().to_message() == cm.Dynamic_SEResControlModeType()
    said = DynamicSchedule(departure_time_s=7200, min_soc_pct=30, target_soc_pct=80, prices=levels())
    message = said.to_message()
    assert (message.DepartureTime, message.MinimumSOC, message.TargetSOC) == (7200, 30, 80)
    assert message.PriceLevelSchedule == levels().to_message()
    assert DynamicSchedule.from_message(message) == said
    unset = replace(said, prices=replace(levels(), starts_at_unix_s=0))
    assert unset.starting(START) == said
    assert DynamicSchedule(min_soc_pct=1).starting(START) == DynamicSchedule(min_soc_pct=1)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"departure_time_s": -1}, "schedule.departure_time_s is -1"),
        ({"min_soc_pct": 101}, "schedule.min_soc_pct is 101"),
        ({"target_soc_pct": 50.0}, "schedule.target_soc_pct is 50.0"),
        ({"min_soc_pct": 60, "target_soc_pct": 50}, "min_soc_pct is 60, above the target_soc_pct of 50"),
        ({"prices": levels(0)}, "schedule.prices.id is 0"),
    ],
)
def test_what_dynamic_mode_cannot_say_is_refused_by_name(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(LocalProtocolError, match=named):
        DynamicSchedule(**changes).to_message()


def test_a_peers_minimum_above_its_target_is_read() -> None:
    message = cm.Dynamic_SEResControlModeType(MinimumSOC=90, TargetSOC=50)
    assert DynamicSchedule.from_message(message) == DynamicSchedule(min_soc_pct=90, target_soc_pct=50)


def test_a_power_beyond_reason_is_named_with_its_place() -> None:
    message = FLAT.to_message()
    schedule = message.ChargingSchedule.PowerSchedule
    entries = cm.PowerScheduleEntryListType(
        PowerScheduleEntry=[
            cm.PowerScheduleEntryType(Duration=1, Power=ct.RationalNumberType(Exponent=120, Value=1)),
        ]
    )
    bad = msgspec.structs.replace(
        message,
        ChargingSchedule=msgspec.structs.replace(
            message.ChargingSchedule, PowerSchedule=msgspec.structs.replace(schedule, PowerScheduleEntries=entries)
        ),
    )
    place = r"ScheduleTuple\[1\]/ChargingSchedule/PowerSchedule\[0\]/Power is 1e\+120"
    with pytest.raises(RemoteProtocolError, match=place):
        tuples_from_message(cm.Scheduled_SEResControlModeType(ScheduleTuple=[message, bad]))
