"""Price levels and prices in a currency: what of them can be sent and read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from pyiso15118.errors import LocalProtocolError, RemoteProtocolError
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages import common_types as ct
from pyiso15118.schedules import (
    BY_POWER,
    AbsolutePrices,
    AdditionalService,
    EnergyOffer,
    Overstay,
    OverstayRule,
    PowerSlot,
    PriceLevel,
    PriceLevels,
    PriceRule,
    PriceStack,
    TaxRule,
)

START = 1_800_000_000
LEVELS = PriceLevels(starts_at_unix_s=START, id=1, number_of_levels=2, slots=(PriceLevel(duration_s=3600, level=2),))
RULE = PriceRule(energy_fee=0.31)
TAX = TaxRule(id=1, rate_pct=19.0)
LATE = OverstayRule(starts_after_s=600, fee=2.5, fee_period_s=3600)
PRICES = AbsolutePrices(
    starts_at_unix_s=START, id=1, currency="EUR", stacks=(PriceStack(duration_s=3600, rules=(RULE,)),)
)
OFFER = EnergyOffer(
    starts_at_unix_s=START,
    slots=(PowerSlot(duration_s=3600, power_w=-7_400.0),),
    currency="EUR",
    stacks=(PriceStack(duration_s=3600, rules=(RULE,)),),
)


def rational(value: float) -> ct.RationalNumberType:
    return ct.RationalNumberType.of(value)


def test_prices_are_sent_as_they_are() -> None:
    prices = replace(
        PRICES,
        minimum_cost=1.0,
        maximum_cost=50.0,
        taxes=(replace(TAX, name="VAT", included_in_price=True, on_overstay_fee=False),),
        stacks=(
            PriceStack(
                duration_s=3600,
                rules=(
                    PriceRule(
                        energy_fee=0.31,
                        parking_fee=0.5,
                        parking_fee_period_s=1800,
                        co2_g_per_kwh=380,
                        renewable_pct=55,
                    ),
                    PriceRule(energy_fee=-0.2, power_range_start_w=-1.0),
                ),
            ),
        ),
        overstay=Overstay(rules=(LATE,), time_threshold_s=7200, power_threshold_w=500.0),
        services=(AdditionalService(name="car wash", fee=9.9),),
        signature_id="prices",
    )
    assert prices.to_message() == cm.AbsolutePriceScheduleType(
        TimeAnchor=START * 1_000_000,
        PriceScheduleID=1,
        Currency="EUR",
        Language="ENG",
        PriceAlgorithm=BY_POWER,
        MinimumCost=rational(1),
        MaximumCost=rational(50),
        TaxRules=cm.TaxRuleListType(
            TaxRule=[
                cm.TaxRuleType(
                    TaxRuleID=1,
                    TaxRuleName="VAT",
                    TaxRate=rational(19),
                    TaxIncludedInPrice=True,
                    AppliesToEnergyFee=True,
                    AppliesToParkingFee=True,
                    AppliesToOverstayFee=False,
                    AppliesMinimumMaximumCost=True,
                )
            ]
        ),
        PriceRuleStacks=cm.PriceRuleStackListType(
            PriceRuleStack=[
                cm.PriceRuleStackType(
                    Duration=3600,
                    PriceRule=[
                        cm.PriceRuleType(
                            EnergyFee=rational(0.31),
                            ParkingFee=rational(0.5),
                            ParkingFeePeriod=1800,
                            CarbonDioxideEmission=380,
                            RenewableGenerationPercentage=55,
                            PowerRangeStart=rational(0),
                        ),
                        cm.PriceRuleType(EnergyFee=rational(-0.2), PowerRangeStart=rational(-1)),
                    ],
                )
            ]
        ),
        OverstayRules=cm.OverstayRuleListType(
            OverstayTimeThreshold=7200,
            OverstayPowerThreshold=rational(500),
            OverstayRule=[cm.OverstayRuleType(StartTime=600, OverstayFee=rational(2.5), OverstayFeePeriod=3600)],
        ),
        AdditionalSelectedServices=cm.AdditionalServiceListType(
            AdditionalService=[cm.AdditionalServiceType(ServiceName="car wash", ServiceFee=rational(9.9))]
        ),
        Id="prices",
    )


def rules(*several: PriceRule) -> AbsolutePrices:
    return replace(PRICES, stacks=(PriceStack(duration_s=3600, rules=several),))


def rule(**changes: Any) -> AbsolutePrices:
    return rules(replace(RULE, **changes))


def overstay(**changes: Any) -> AbsolutePrices:
    return replace(PRICES, overstay=replace(Overstay(rules=(LATE,)), **changes))


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (replace(LEVELS, id=0), "prices.id is 0"),
        (replace(LEVELS, number_of_levels=256), "prices.number_of_levels is 256"),
        (replace(LEVELS, number_of_levels=1), r"prices.slots\[0\].level is 2, must be an integer within 0..1"),
        (replace(LEVELS, slots=()), "prices.slots has 0 entries"),
        (replace(LEVELS, slots=(PriceLevel(duration_s=0, level=0),)), r"prices.slots\[0\].duration_s is 0"),
        (replace(LEVELS, slots=(PriceLevel(duration_s=1, level=0),) * 1024), "1024 entries.*exactly full"),
        (replace(LEVELS, description="x" * 161), "prices.description is"),
        (replace(LEVELS, description="night\ntariff"), r"prices.description is 'night\\ntariff'"),
        (replace(LEVELS, description="\ud800"), "prices.description is"),
        (replace(LEVELS, signature_id="1st"), "prices.signature_id is '1st'"),
        (replace(LEVELS, starts_at_unix_s=None), "prices.starts_at_unix_s is None"),
        (replace(PRICES, currency="EURO"), "prices.currency is 'EURO'"),
        (replace(PRICES, currency=None), "prices.currency is None"),
        (replace(PRICES, language=""), "prices.language is ''"),
        (replace(PRICES, algorithm="u" * 256), "prices.algorithm is"),
        (replace(PRICES, minimum_cost=-2e9), "prices.minimum_cost is"),
        (replace(PRICES, maximum_cost=float("inf")), "prices.maximum_cost is inf"),
        (replace(PRICES, stacks=()), "prices.stacks has 0 entries"),
        (replace(PRICES, stacks=PRICES.stacks * 1024), "prices.stacks has 1024 entries"),
        (replace(PRICES, stacks=(PriceStack(duration_s=0, rules=(RULE,)),)), r"prices.stacks\[0\].duration_s is 0"),
        (rules(), r"prices.stacks\[0\].rules has 0 entries"),
        (rules(*(replace(RULE, power_range_start_w=float(i)) for i in range(8))), "8 entries.*exactly full"),
        (rules(RULE, RULE), r"prices.stacks\[0\].rules: two of them have the same power_range_start_w"),
        (rule(energy_fee=None), r"prices.stacks\[0\].rules\[0\].energy_fee is None"),
        (rule(power_range_start_w=2e9), r"rules\[0\].power_range_start_w is"),
        (rule(parking_fee="1"), r"rules\[0\].parking_fee is '1'"),
        (rule(parking_fee_period_s=-1), r"rules\[0\].parking_fee_period_s is -1"),
        (rule(co2_g_per_kwh=65536), r"rules\[0\].co2_g_per_kwh is 65536"),
        (rule(renewable_pct=101), r"rules\[0\].renewable_pct is 101"),
        (replace(PRICES, taxes=(TAX,) * 10), "prices.taxes has 10 entries, must have 0..9"),
        (replace(PRICES, taxes=(TAX, replace(TAX, id=0))), r"prices.taxes\[1\].id is 0"),
        (replace(PRICES, taxes=(replace(TAX, rate_pct=None),)), r"prices.taxes\[0\].rate_pct is None"),
        (replace(PRICES, taxes=(replace(TAX, name="x" * 81),)), r"prices.taxes\[0\].name is"),
        (replace(PRICES, taxes=(replace(TAX, on_energy_fee=1),)), r"prices.taxes\[0\].on_energy_fee is 1"),
        (replace(PRICES, taxes=(replace(TAX, included_in_price="no"),)), "included_in_price is 'no'"),
        (overstay(rules=()), "prices.overstay.rules has 0 entries"),
        (overstay(rules=(LATE,) * 5), "prices.overstay.rules has 5 entries"),
        (overstay(rules=(replace(LATE, fee=2e9),)), r"prices.overstay.rules\[0\].fee is"),
        (overstay(rules=(replace(LATE, starts_after_s=-1),)), r"rules\[0\].starts_after_s is -1"),
        (overstay(rules=(replace(LATE, fee_period_s=None),)), r"rules\[0\].fee_period_s is None"),
        (overstay(time_threshold_s=2**32), "prices.overstay.time_threshold_s is"),
        (overstay(power_threshold_w=2e9), "prices.overstay.power_threshold_w is"),
        (replace(PRICES, services=(AdditionalService(name="a", fee=1),) * 5), "prices.services has 5 entries"),
        (replace(PRICES, services=(AdditionalService(name="", fee=1),)), r"prices.services\[0\].name is ''"),
        (replace(PRICES, services=(AdditionalService(name="a", fee=2e9),)), r"prices.services\[0\].fee is"),
        (replace(OFFER, slots=(PowerSlot(duration_s=1, power_w=1.0),)), r"offer.slots\[0\].power_w is 1.0"),
        (
            replace(OFFER, slots=(PowerSlot(duration_s=1, power_w=-1.0, power_l2_w=-1.0),)),
            r"offer.slots\[0\] has powers by phase",
        ),
        (
            replace(OFFER, stacks=(PriceStack(duration_s=1, rules=(replace(RULE, parking_fee=1.0),)),)),
            r"offer.stacks\[0\].rules\[0\] has more than energy_fee",
        ),
        (replace(OFFER, stacks=OFFER.stacks * 1024), "offer.stacks has 1024 entries"),
        (replace(OFFER, currency="E"), "offer.currency is 'E'"),
    ],
)
def test_what_no_prices_can_be_is_refused_by_name(
    value: PriceLevels | AbsolutePrices | EnergyOffer, named: str
) -> None:
    with pytest.raises(LocalProtocolError, match=named):
        value.to_message()


def test_lists_one_below_full_are_sent() -> None:
    prices = replace(
        rules(*(replace(RULE, power_range_start_w=float(i)) for i in range(7))),
        taxes=(TAX,) * 9,
        overstay=Overstay(rules=(LATE,) * 4),
        services=(AdditionalService(name="a", fee=1.0),) * 4,
    )
    assert AbsolutePrices.from_message(prices.to_message()) == prices


def test_full_lists_and_strange_levels_and_percentages_are_read() -> None:
    message = rule(renewable_pct=100).to_message()
    stack = message.PriceRuleStacks.PriceRuleStack[0]
    odd = msgspec.structs.replace(stack.PriceRule[0], RenewableGenerationPercentage=255)
    stacks = cm.PriceRuleStackListType(PriceRuleStack=[msgspec.structs.replace(stack, Duration=0, PriceRule=[odd] * 8)])
    read = AbsolutePrices.from_message(msgspec.structs.replace(message, PriceRuleStacks=stacks))
    assert read.stacks[0].duration_s == 0
    assert [rule.renewable_pct for rule in read.stacks[0].rules] == [255] * 8

    levels = msgspec.structs.replace(LEVELS.to_message(), NumberOfPriceLevels=0)
    assert PriceLevels.from_message(levels) == replace(LEVELS, number_of_levels=0)


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        (
            "PriceRuleStacks",
            cm.PriceRuleStackListType(PriceRuleStack=[]),
            "AbsolutePriceSchedule/PriceRuleStacks is empty",
        ),
        ("MaximumCost", ct.RationalNumberType(Exponent=100, Value=1), "AbsolutePriceSchedule/MaximumCost is"),
        ("TimeAnchor", 2**64 - 1, "AbsolutePriceSchedule/TimeAnchor is"),
        ("TaxRules", cm.TaxRuleListType(TaxRule=[]), "AbsolutePriceSchedule/TaxRules is empty"),
        (
            "AdditionalSelectedServices",
            cm.AdditionalServiceListType(AdditionalService=[]),
            "AbsolutePriceSchedule/AdditionalSelectedServices is empty",
        ),
        ("OverstayRules", cm.OverstayRuleListType(OverstayRule=[]), "AbsolutePriceSchedule/OverstayRules is empty"),
    ],
)
def test_what_no_evse_can_mean_by_prices_is_a_remote_protocol_error(field: str, value: Any, named: str) -> None:
    message = msgspec.structs.replace(PRICES.to_message(), **{field: value})
    with pytest.raises(RemoteProtocolError, match=named):
        AbsolutePrices.from_message(message)


def test_an_offer_keeps_the_time_of_its_prices_where_it_is_another() -> None:
    offer = replace(OFFER, prices_start_at_unix_s=START + 900)
    message = offer.to_message()
    assert message.EVPowerSchedule.TimeAnchor == START * 1_000_000
    assert message.EVAbsolutePriceSchedule.TimeAnchor == (START + 900) * 1_000_000
    assert EnergyOffer.from_message(message) == offer
