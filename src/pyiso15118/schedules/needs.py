"""What the vehicle asks for in ScheduleExchangeReq in scheduled mode, and the energy it offers to feed back."""

from __future__ import annotations

from dataclasses import dataclass

from pyiso15118.errors import LocalProtocolError
from pyiso15118.messages import common_messages as cm
from pyiso15118.schedules.power import MOST_SLOTS, PowerSlot
from pyiso15118.schedules.price_rules import PriceRule, PriceStack, sent_rules
from pyiso15118.schedules.prices import BY_POWER, MOST_STACKS
from pyiso15118.schedules.wire import (
    FULL,
    MAX_MAGNITUDE,
    MAX_UNSIGNED_INT,
    read_anchor,
    read_items,
    read_number,
    read_optional,
    sent_anchor,
    sent_integer,
    sent_items,
    sent_number,
    sent_optional,
    sent_optional_integer,
    sent_text,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyOffer:
    """Power that the vehicle would feed back, and what it wants for the energy (EVEnergyOffer).

    ``slots``: powers of 0 and below, of all phases together ([V2G20-2141]); EcoG's vehicle has sent a positive one,
    which stays as it came. ``stacks``: rules with ``energy_fee`` and ``power_range_start_w`` only. Both lists begin at
    ``starts_at_unix_s``, 0 where no time is named; the prices may begin elsewhere: ``prices_start_at_unix_s``.
    """

    starts_at_unix_s: int
    slots: tuple[PowerSlot, ...]
    currency: str
    stacks: tuple[PriceStack, ...]
    algorithm: str = BY_POWER
    prices_start_at_unix_s: int | None = None

    def to_message(self, where: str = "offer") -> cm.EVEnergyOfferType:
        """The wire type. Raises :class:`LocalProtocolError` naming the field that cannot be sent."""
        entries = [
            _sent_slot(f"{where}.slots[{i}]", slot)
            for i, slot in enumerate(sent_items(f"{where}.slots", self.slots, MOST_SLOTS, FULL))
        ]
        stacks = [
            _sent_stack(f"{where}.stacks[{i}]", stack)
            for i, stack in enumerate(sent_items(f"{where}.stacks", self.stacks, MOST_STACKS, FULL))
        ]
        begin, prices_begin = self.starts_at_unix_s, self.prices_start_at_unix_s
        if prices_begin is None:
            prices_begin = begin
        return cm.EVEnergyOfferType(
            EVPowerSchedule=cm.EVPowerScheduleType(
                TimeAnchor=sent_anchor(f"{where}.starts_at_unix_s", begin, self.slots),
                EVPowerScheduleEntries=cm.EVPowerScheduleEntryListType(EVPowerScheduleEntry=entries),
            ),
            EVAbsolutePriceSchedule=cm.EVAbsolutePriceScheduleType(
                TimeAnchor=sent_anchor(f"{where}.prices_start_at_unix_s", prices_begin, self.stacks),
                Currency=sent_text(f"{where}.currency", self.currency, 3, 3),
                PriceAlgorithm=sent_text(f"{where}.algorithm", self.algorithm, 255),
                EVPriceRuleStacks=cm.EVPriceRuleStackListType(EVPriceRuleStack=stacks),
            ),
        )

    @classmethod
    def from_message(cls, message: cm.EVEnergyOfferType, where: str = "EVEnergyOffer") -> EnergyOffer:
        """What a vehicle sent. Raises :class:`RemoteProtocolError` for an empty list, numbers beyond ±1e9 and times
        after the year 9999."""
        power, prices = message.EVPowerSchedule, message.EVAbsolutePriceSchedule
        entries = read_items(f"{where}/EVPowerSchedule", power.EVPowerScheduleEntries.EVPowerScheduleEntry)
        slots = tuple(
            PowerSlot(duration_s=e.Duration, power_w=read_number(f"{where}/EVPowerScheduleEntry[{i}]/Power", e.Power))
            for i, e in enumerate(entries)
        )
        sent_stacks = read_items(f"{where}/EVAbsolutePriceSchedule", prices.EVPriceRuleStacks.EVPriceRuleStack)
        stacks = tuple(_read_stack(f"{where}/EVPriceRuleStack[{i}]", s) for i, s in enumerate(sent_stacks))
        begin = read_anchor(f"{where}/EVPowerSchedule/TimeAnchor", power.TimeAnchor, slots)
        prices_begin = read_anchor(f"{where}/EVAbsolutePriceSchedule/TimeAnchor", prices.TimeAnchor, stacks)
        return cls(
            starts_at_unix_s=begin,
            slots=slots,
            currency=prices.Currency,
            stacks=stacks,
            algorithm=prices.PriceAlgorithm,
            prices_start_at_unix_s=None if prices_begin == begin else prices_begin,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleNeeds:
    """What the vehicle needs until departure in scheduled mode; None where it does not say.

    The first four fields mean what they mean in :class:`pyiso15118.events.EnergyNeeds`: ``departure_time_s`` counts
    from the message; energies in Wh are positive to be charged, negative surplus, within ±1e9.
    """

    departure_time_s: int | None = None
    target_energy_wh: float | None = None
    max_energy_wh: float | None = None
    min_energy_wh: float | None = None
    offer: EnergyOffer | None = None

    def to_message(self, where: str = "needs") -> cm.Scheduled_SEReqControlModeType:
        """The wire type. Raises :class:`LocalProtocolError` naming the field that cannot be sent."""
        return cm.Scheduled_SEReqControlModeType(
            DepartureTime=sent_optional_integer(
                f"{where}.departure_time_s", self.departure_time_s, 0, MAX_UNSIGNED_INT
            ),
            EVTargetEnergyRequest=sent_optional(f"{where}.target_energy_wh", self.target_energy_wh),
            EVMaximumEnergyRequest=sent_optional(f"{where}.max_energy_wh", self.max_energy_wh),
            EVMinimumEnergyRequest=sent_optional(f"{where}.min_energy_wh", self.min_energy_wh),
            EVEnergyOffer=None if self.offer is None else self.offer.to_message(f"{where}.offer"),
        )

    @classmethod
    def from_message(
        cls, message: cm.Scheduled_SEReqControlModeType, where: str = "Scheduled_SEReqControlMode"
    ) -> ScheduleNeeds:
        """What a vehicle sent, energies out of order included. Raises :class:`RemoteProtocolError` for energies beyond
        ±1e9 Wh and as the offer does."""
        offer = message.EVEnergyOffer
        return cls(
            departure_time_s=message.DepartureTime,
            target_energy_wh=read_optional(f"{where}/EVTargetEnergyRequest", message.EVTargetEnergyRequest),
            max_energy_wh=read_optional(f"{where}/EVMaximumEnergyRequest", message.EVMaximumEnergyRequest),
            min_energy_wh=read_optional(f"{where}/EVMinimumEnergyRequest", message.EVMinimumEnergyRequest),
            offer=None if offer is None else EnergyOffer.from_message(offer, f"{where}/EVEnergyOffer"),
        )


def _sent_slot(where: str, slot: PowerSlot) -> cm.EVPowerScheduleEntryType:
    if slot.power_l2_w is not None or slot.power_l3_w is not None:
        raise LocalProtocolError(f"{where} has powers by phase; an energy offer has power_w only, of all phases")
    return cm.EVPowerScheduleEntryType(
        Duration=sent_integer(f"{where}.duration_s", slot.duration_s, 1, MAX_UNSIGNED_INT),
        Power=sent_number(f"{where}.power_w", slot.power_w, -MAX_MAGNITUDE, 0),
    )


def _sent_stack(where: str, stack: PriceStack) -> cm.EVPriceRuleStackType:
    rules = []
    for i, rule in enumerate(sent_rules(where, stack.rules)):
        if rule != PriceRule(energy_fee=rule.energy_fee, power_range_start_w=rule.power_range_start_w):
            raise LocalProtocolError(
                f"{where}.rules[{i}] has more than energy_fee and power_range_start_w, which is all an energy offer has"
            )
        rules.append(
            cm.EVPriceRuleType(
                EnergyFee=sent_number(f"{where}.rules[{i}].energy_fee", rule.energy_fee),
                PowerRangeStart=sent_number(f"{where}.rules[{i}].power_range_start_w", rule.power_range_start_w),
            )
        )
    return cm.EVPriceRuleStackType(
        Duration=sent_integer(f"{where}.duration_s", stack.duration_s, 1, MAX_UNSIGNED_INT), EVPriceRule=rules
    )


def _read_stack(where: str, message: cm.EVPriceRuleStackType) -> PriceStack:
    return PriceStack(
        duration_s=message.Duration,
        rules=tuple(
            PriceRule(
                energy_fee=read_number(f"{where}/EVPriceRule[{i}]/EnergyFee", rule.EnergyFee),
                power_range_start_w=read_number(f"{where}/EVPriceRule[{i}]/PowerRangeStart", rule.PowerRangeStart),
            )
            for i, rule in enumerate(read_items(where, message.EVPriceRule))
        ),
    )
