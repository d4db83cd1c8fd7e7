"""The rules that make up a price: energy and parking fees by power range, taxes, overstay, services beside charging.

Money is in the currency's main unit; an energy fee is per kWh, and negative where energy fed back is paid for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyiso15118.errors import LocalProtocolError
from pyiso15118.messages import common_messages as cm
from pyiso15118.schedules.wire import (
    FULL,
    MAX_UNSIGNED_INT,
    read_items,
    read_number,
    read_optional,
    sent_flag,
    sent_integer,
    sent_items,
    sent_number,
    sent_optional,
    sent_optional_integer,
    sent_optional_text,
    sent_text,
)

MOST_RULES, MOST_TAXES, MOST_OVERSTAY_RULES, MOST_SERVICES = 7, 9, 4, 4
"""One below the schema's bounds of 8, 10, 5 and 5, see ``wire.FULL``. A peer may fill them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceRule:
    """One price among those that hold at a time: the one for powers from ``power_range_start_w`` on.

    ``energy_fee``: per kWh. ``parking_fee``: per ``parking_fee_period_s``. ``co2_g_per_kwh`` 0..65535,
    ``renewable_pct`` 0..100: of the energy so priced.
    """

    energy_fee: float
    power_range_start_w: float = 0.0
    parking_fee: float | None = None
    parking_fee_period_s: int | None = None
    co2_g_per_kwh: int | None = None
    renewable_pct: int | None = None

    def to_message(self, where: str = "rule") -> cm.PriceRuleType:
        """The wire type. Raises :class:`LocalProtocolError` naming the field that cannot be sent."""
        return cm.PriceRuleType(
            EnergyFee=sent_number(f"{where}.energy_fee", self.energy_fee),
            ParkingFee=sent_optional(f"{where}.parking_fee", self.parking_fee),
            ParkingFeePeriod=sent_optional_integer(
                f"{where}.parking_fee_period_s", self.parking_fee_period_s, 0, MAX_UNSIGNED_INT
            ),
            CarbonDioxideEmission=sent_optional_integer(f"{where}.co2_g_per_kwh", self.co2_g_per_kwh, 0, 65535),
            RenewableGenerationPercentage=sent_optional_integer(f"{where}.renewable_pct", self.renewable_pct, 0, 100),
            PowerRangeStart=sent_number(f"{where}.power_range_start_w", self.power_range_start_w),
        )

    @classmethod
    def from_message(cls, message: cm.PriceRuleType, where: str = "PriceRule") -> PriceRule:
        """What an EVSE sent, a percentage above 100 included. Raises :class:`RemoteProtocolError` for fees and powers
        beyond ±1e9."""
        return cls(
            energy_fee=read_number(f"{where}/EnergyFee", message.EnergyFee),
            power_range_start_w=read_number(f"{where}/PowerRangeStart", message.PowerRangeStart),
            parking_fee=read_optional(f"{where}/ParkingFee", message.ParkingFee),
            parking_fee_period_s=message.ParkingFeePeriod,
            co2_g_per_kwh=message.CarbonDioxideEmission,
            renewable_pct=message.RenewableGenerationPercentage,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceStack:
    """The rules that hold together for a time, their ``power_range_start_w`` all different.

    ``duration_s`` 1..4294967295; a peer may send 0.
    """

    duration_s: int
    rules: tuple[PriceRule, ...]

    def to_message(self, where: str = "stack") -> cm.PriceRuleStackType:
        """The wire type. Raises :class:`LocalProtocolError` naming the field that cannot be sent."""
        return cm.PriceRuleStackType(
            Duration=sent_integer(f"{where}.duration_s", self.duration_s, 1, MAX_UNSIGNED_INT),
            PriceRule=[rule.to_message(f"{where}.rules[{i}]") for i, rule in enumerate(sent_rules(where, self.rules))],
        )

    @classmethod
    def from_message(cls, message: cm.PriceRuleStackType, where: str = "PriceRuleStack") -> PriceStack:
        """What an EVSE sent. Raises :class:`RemoteProtocolError` as :meth:`PriceRule.from_message`."""
        rules = read_items(where, message.PriceRule)
        return cls(
            duration_s=message.Duration,
            rules=tuple(PriceRule.from_message(rule, f"{where}/PriceRule[{i}]") for i, rule in enumerate(rules)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxRule:
    """A tax. ``rate_pct`` in percent, within ±1e9; ``name`` up to 80 characters."""

    id: int
    rate_pct: float
    name: str | None = None
    included_in_price: bool | None = None
    on_energy_fee: bool = True
    on_parking_fee: bool = True
    on_overstay_fee: bool = True
    on_minimum_maximum_cost: bool = True

    def to_message(self, where: str = "tax") -> cm.TaxRuleType:
        """The wire type. Raises :class:`LocalProtocolError` naming the field that cannot be sent."""
        included = self.included_in_price
        return cm.TaxRuleType(
            TaxRuleID=sent_integer(f"{where}.id", self.id, 1, MAX_UNSIGNED_INT),
            TaxRuleName=sent_optional_text(f"{where}.name", self.name, 80),
            TaxRate=sent_number(f"{where}.rate_pct", self.rate_pct),
            TaxIncludedInPrice=None if included is None else sent_flag(f"{where}.included_in_price", included),
            AppliesToEnergyFee=sent_flag(f"{where}.on_energy_fee", self.on_energy_fee),
            AppliesToParkingFee=sent_flag(f"{where}.on_parking_fee", self.on_parking_fee),
            AppliesToOverstayFee=sent_flag(f"{where}.on_overstay_fee", self.on_overstay_fee),
            AppliesMinimumMaximumCost=sent_flag(f"{where}.on_minimum_maximum_cost", self.on_minimum_maximum_cost),
        )

    @classmethod
    def from_message(cls, message: cm.TaxRuleType, where: str = "TaxRule") -> TaxRule:
        """What an EVSE sent. Raises :class:`RemoteProtocolError` for a rate beyond ±1e9."""
        return cls(
            id=message.TaxRuleID,
            rate_pct=read_number(f"{where}/TaxRate", message.TaxRate),
            name=message.TaxRuleName,
            included_in_price=message.TaxIncludedInPrice,
            on_energy_fee=message.AppliesToEnergyFee,
            on_parking_fee=message.AppliesToParkingFee,
            on_overstay_fee=message.AppliesToOverstayFee,
            on_minimum_maximum_cost=message.AppliesMinimumMaximumCost,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OverstayRule:
    """``fee`` per ``fee_period_s``, from ``starts_after_s`` after the threshold was passed."""

    starts_after_s: int
    fee: float
    fee_period_s: int
    description: str | None = None

    def to_message(self, where: str = "rule") -> cm.OverstayRuleType:
        """The wire type. Raises :class:`LocalProtocolError` naming the field that cannot be sent."""
        return cm.OverstayRuleType(
            OverstayRuleDescription=sent_optional_text(f"{where}.description", self.description, 160),
            StartTime=sent_integer(f"{where}.starts_after_s", self.starts_after_s, 0, MAX_UNSIGNED_INT),
            OverstayFee=sent_number(f"{where}.fee", self.fee),
            OverstayFeePeriod=sent_integer(f"{where}.fee_period_s", self.fee_period_s, 0, MAX_UNSIGNED_INT),
        )

    @classmethod
    def from_message(cls, message: cm.OverstayRuleType, where: str = "OverstayRule") -> OverstayRule:
        """What an EVSE sent. Raises :class:`RemoteProtocolError` for a fee beyond ±1e9."""
        return cls(
            starts_after_s=message.StartTime,
            fee=read_number(f"{where}/OverstayFee", message.OverstayFee),
            fee_period_s=message.OverstayFeePeriod,
            description=message.OverstayRuleDescription,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Overstay:
    """What staying on costs, once ``time_threshold_s`` has passed or the power is below ``power_threshold_w``."""

    rules: tuple[OverstayRule, ...]
    time_threshold_s: int | None = None
    power_threshold_w: float | None = None

    def to_message(self, where: str = "overstay") -> cm.OverstayRuleListType:
        """The wire type. Raises :class:`LocalProtocolError` naming the field that cannot be sent."""
        rules = sent_items(f"{where}.rules", self.rules, MOST_OVERSTAY_RULES, FULL)
        return cm.OverstayRuleListType(
            OverstayTimeThreshold=sent_optional_integer(
                f"{where}.time_threshold_s", self.time_threshold_s, 0, MAX_UNSIGNED_INT
            ),
            OverstayPowerThreshold=sent_optional(f"{where}.power_threshold_w", self.power_threshold_w),
            OverstayRule=[rule.to_message(f"{where}.rules[{i}]") for i, rule in enumerate(rules)],
        )

    @classmethod
    def from_message(cls, message: cm.OverstayRuleListType, where: str = "OverstayRules") -> Overstay:
        """What an EVSE sent. Raises :class:`RemoteProtocolError` for numbers beyond ±1e9."""
        rules = read_items(where, message.OverstayRule)
        return cls(
            rules=tuple(OverstayRule.from_message(rule, f"{where}[{i}]") for i, rule in enumerate(rules)),
            time_threshold_s=message.OverstayTimeThreshold,
            power_threshold_w=read_optional(f"{where}/OverstayPowerThreshold", message.OverstayPowerThreshold),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AdditionalService:
    """A service beside charging and its fee; ``name`` up to 80 characters."""

    name: str
    fee: float

    def to_message(self, where: str = "service") -> cm.AdditionalServiceType:
        """The wire type. Raises :class:`LocalProtocolError` naming the field that cannot be sent."""
        return cm.AdditionalServiceType(
            ServiceName=sent_text(f"{where}.name", self.name, 80), ServiceFee=sent_number(f"{where}.fee", self.fee)
        )

    @classmethod
    def from_message(cls, message: cm.AdditionalServiceType, where: str = "AdditionalService") -> AdditionalService:
        """What an EVSE sent. Raises :class:`RemoteProtocolError` for a fee beyond ±1e9."""
        return cls(name=message.ServiceName, fee=read_number(f"{where}/ServiceFee", message.ServiceFee))


def sent_rules(where: str, rules: Sequence[PriceRule]) -> Sequence[PriceRule]:
    """The rules of a stack, if they are few enough and each has a power range of its own ([V2G20-2154])."""
    sent_items(f"{where}.rules", rules, MOST_RULES, FULL)
    starts = [rule.power_range_start_w for rule in rules]
    if len(set(starts)) < len(starts):
        raise LocalProtocolError(f"{where}.rules: two of them have the same power_range_start_w")
    return rules
