"""What energy costs: price levels, or prices in a currency.

Money is in the currency's main unit; an energy fee per kWh; a fee for energy fed back is negative. A price schedule
may be signed: ``signature_id`` is the Id by which a signature refers to it, and a price schedule that came signed from
a secondary actor must go out unchanged ([V2G20-1567], [V2G20-2130]).
"""

from __future__ import annotations

from dataclasses import dataclass

from pyiso15118.messages import common_messages as cm
from pyiso15118.schedules.price_rules import (
    MOST_SERVICES,
    MOST_TAXES,
    AdditionalService,
    Overstay,
    PriceRule,
    PriceStack,
    TaxRule,
)
from pyiso15118.schedules.wire import (
    DAY_S,
    FULL,
    MAX_UNSIGNED_INT,
    read_anchor,
    read_items,
    read_optional,
    sent_anchor,
    sent_id,
    sent_integer,
    sent_items,
    sent_optional,
    sent_optional_text,
    sent_text,
)

BY_POWER = "urn:iso:std:iso:15118:-20:PriceAlgorithm:1-Power"
"""The rule of the present power's range prices all energy ([V2G20-1894])."""
BY_PEAK_POWER = "urn:iso:std:iso:15118:-20:PriceAlgorithm:2-PeakPower"
"""The rule of the highest power within a stack prices all its energy ([V2G20-1895])."""
BY_STACKED_ENERGY = "urn:iso:std:iso:15118:-20:PriceAlgorithm:3-StackedEnergy"
"""Each rule prices the energy within its power range."""

MOST_STACKS = 1023
"""One below the schema's bound, see ``wire.FULL``. libcbv2g itself holds no more than 64 price rule stacks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceLevel:
    """A price level for a time: 0 is the cheapest ([V2G20-2171])."""

    duration_s: int
    level: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceLevels:
    """Relative prices (PriceLevelSchedule): levels that follow each other from ``starts_at_unix_s`` on.

    ``id`` 1..4294967295, unique within a response ([V2G20-1892]); ``level`` 0..``number_of_levels`` ([V2G20-2169]);
    ``description`` up to 160 characters.
    """

    starts_at_unix_s: int
    id: int
    number_of_levels: int
    slots: tuple[PriceLevel, ...]
    description: str | None = None
    signature_id: str | None = None

    def to_message(self, where: str = "prices") -> cm.PriceLevelScheduleType:
        """The wire type. Raises :class:`LocalProtocolError` naming the field that cannot be sent."""
        number = sent_integer(f"{where}.number_of_levels", self.number_of_levels, 0, 255)
        entries = [
            cm.PriceLevelScheduleEntryType(
                Duration=sent_integer(f"{where}.slots[{i}].duration_s", slot.duration_s, 1, MAX_UNSIGNED_INT),
                PriceLevel=sent_integer(f"{where}.slots[{i}].level", slot.level, 0, number),
            )
            for i, slot in enumerate(sent_items(f"{where}.slots", self.slots, MOST_STACKS, FULL))
        ]
        return cm.PriceLevelScheduleType(
            TimeAnchor=sent_anchor(f"{where}.starts_at_unix_s", self.starts_at_unix_s, self.slots),
            PriceScheduleID=sent_integer(f"{where}.id", self.id, 1, MAX_UNSIGNED_INT),
            PriceScheduleDescription=sent_optional_text(f"{where}.description", self.description, 160),
            NumberOfPriceLevels=number,
            PriceLevelScheduleEntries=cm.PriceLevelScheduleEntryListType(PriceLevelScheduleEntry=entries),
            Id=sent_id(f"{where}.signature_id", self.signature_id),
        )

    @classmethod
    def from_message(cls, message: cm.PriceLevelScheduleType, where: str = "PriceLevelSchedule") -> PriceLevels:
        """What an EVSE sent, levels above its own number of them included. Raises :class:`RemoteProtocolError` for an
        empty list and times after the year 9999."""
        entries = read_items(where, message.PriceLevelScheduleEntries.PriceLevelScheduleEntry)
        slots = tuple(PriceLevel(duration_s=e.Duration, level=e.PriceLevel) for e in entries)
        return cls(
            starts_at_unix_s=read_anchor(f"{where}/TimeAnchor", message.TimeAnchor, slots),
            id=message.PriceScheduleID,
            number_of_levels=message.NumberOfPriceLevels,
            slots=slots,
            description=message.PriceScheduleDescription,
            signature_id=message.Id,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AbsolutePrices:
    """Prices in a currency (AbsolutePriceSchedule): stacks of rules that follow each other from the start.

    ``id`` 1..4294967295, unique within a response ([V2G20-1892]); ``currency`` three letters as in ISO 4217;
    ``language`` of the names and descriptions, up to three letters; ``minimum_cost`` and ``maximum_cost`` bound the
    bill, ``services`` apart ([V2G20-1890], [V2G20-1891], [V2G20-2640]).
    """

    starts_at_unix_s: int
    id: int
    currency: str
    stacks: tuple[PriceStack, ...]
    language: str = "ENG"
    algorithm: str = BY_POWER
    description: str | None = None
    minimum_cost: float | None = None
    maximum_cost: float | None = None
    taxes: tuple[TaxRule, ...] = ()
    overstay: Overstay | None = None
    services: tuple[AdditionalService, ...] = ()
    signature_id: str | None = None

    def to_message(self, where: str = "prices") -> cm.AbsolutePriceScheduleType:
        """The wire type. Raises :class:`LocalProtocolError` naming the field that cannot be sent."""
        stacks = sent_items(f"{where}.stacks", self.stacks, MOST_STACKS, FULL)
        sent_stacks = [stack.to_message(f"{where}.stacks[{i}]") for i, stack in enumerate(stacks)]
        taxes = [
            tax.to_message(f"{where}.taxes[{i}]")
            for i, tax in enumerate(sent_items(f"{where}.taxes", self.taxes, MOST_TAXES, FULL, least=0))
        ]
        services = [
            service.to_message(f"{where}.services[{i}]")
            for i, service in enumerate(sent_items(f"{where}.services", self.services, MOST_SERVICES, FULL, least=0))
        ]
        return cm.AbsolutePriceScheduleType(
            TimeAnchor=sent_anchor(f"{where}.starts_at_unix_s", self.starts_at_unix_s, self.stacks),
            PriceScheduleID=sent_integer(f"{where}.id", self.id, 1, MAX_UNSIGNED_INT),
            PriceScheduleDescription=sent_optional_text(f"{where}.description", self.description, 160),
            Currency=sent_text(f"{where}.currency", self.currency, 3, 3),
            Language=sent_text(f"{where}.language", self.language, 3),
            PriceAlgorithm=sent_text(f"{where}.algorithm", self.algorithm, 255),
            MinimumCost=sent_optional(f"{where}.minimum_cost", self.minimum_cost),
            MaximumCost=sent_optional(f"{where}.maximum_cost", self.maximum_cost),
            TaxRules=cm.TaxRuleListType(TaxRule=taxes) if taxes else None,
            PriceRuleStacks=cm.PriceRuleStackListType(PriceRuleStack=sent_stacks),
            OverstayRules=None if self.overstay is None else self.overstay.to_message(f"{where}.overstay"),
            AdditionalSelectedServices=cm.AdditionalServiceListType(AdditionalService=services) if services else None,
            Id=sent_id(f"{where}.signature_id", self.signature_id),
        )

    @classmethod
    def from_message(
        cls, message: cm.AbsolutePriceScheduleType, where: str = "AbsolutePriceSchedule"
    ) -> AbsolutePrices:
        """What an EVSE sent. Raises :class:`RemoteProtocolError` for an empty list, numbers beyond ±1e9 and times
        after the year 9999; texts are as sent and may hold control characters."""
        entries = read_items(f"{where}/PriceRuleStacks", message.PriceRuleStacks.PriceRuleStack)
        stacks = tuple(PriceStack.from_message(s, f"{where}/PriceRuleStack[{i}]") for i, s in enumerate(entries))
        taxes = [] if message.TaxRules is None else read_items(f"{where}/TaxRules", message.TaxRules.TaxRule)
        services = message.AdditionalSelectedServices
        extras = (
            [] if services is None else read_items(f"{where}/AdditionalSelectedServices", services.AdditionalService)
        )
        overstay = message.OverstayRules
        return cls(
            starts_at_unix_s=read_anchor(f"{where}/TimeAnchor", message.TimeAnchor, stacks),
            id=message.PriceScheduleID,
            currency=message.Currency,
            stacks=stacks,
            language=message.Language,
            algorithm=message.PriceAlgorithm,
            description=message.PriceScheduleDescription,
            minimum_cost=read_optional(f"{where}/MinimumCost", message.MinimumCost),
            maximum_cost=read_optional(f"{where}/MaximumCost", message.MaximumCost),
            taxes=tuple(TaxRule.from_message(tax, f"{where}/TaxRule[{i}]") for i, tax in enumerate(taxes)),
            overstay=None if overstay is None else Overstay.from_message(overstay, f"{where}/OverstayRules"),
            services=tuple(
                AdditionalService.from_message(s, f"{where}/AdditionalService[{i}]") for i, s in enumerate(extras)
            ),
            signature_id=message.Id,
        )


Prices = AbsolutePrices | PriceLevels


def flat_prices(
    energy_fee: float, currency: str, duration_s: int = DAY_S, starts_at_unix_s: int = 0, *, id: int = 1
) -> AbsolutePrices:
    """The simplest prices: one fee per kWh and nothing else. ``starts_at_unix_s`` 0: when they are sent."""
    stack = PriceStack(duration_s=duration_s, rules=(PriceRule(energy_fee=energy_fee),))
    return AbsolutePrices(starts_at_unix_s=starts_at_unix_s, id=id, currency=currency, stacks=(stack,))
