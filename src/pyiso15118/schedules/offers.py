"""What the EVSE offers in ScheduleExchangeRes: up to three schedule tuples, or the settings of dynamic mode.

A discharging schedule holds powers of 0 and below ([V2G20-1035]), in plain values as in messages. EcoG's SECC sends
them positive: read, they turn negative here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pyiso15118.errors import LocalProtocolError, RemoteProtocolError
from pyiso15118.messages import common_messages as cm
from pyiso15118.schedules.power import PowerSchedule
from pyiso15118.schedules.prices import AbsolutePrices, PriceLevel, PriceLevels, Prices
from pyiso15118.schedules.wire import (
    DAY_S,
    MAX_UNSIGNED_INT,
    read_items,
    sent_integer,
    sent_items,
    sent_optional_integer,
)

MOST_TUPLES = 3
"""The schema's bound. libcbv2g misreads full lists: offer two to a vehicle that may be built on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargingSchedule:
    """Power and prices in one direction.

    ``prices``: [V2G20-2176] asks for one of the two kinds; EVerest's SECC sends none, EcoG's vehicle refuses a
    schedule without.
    """

    power: PowerSchedule
    prices: Prices | None = None

    def to_message(self, where: str = "charging") -> cm.ChargingScheduleType:
        """The wire type. Raises :class:`LocalProtocolError` naming the field that cannot be sent."""
        prices = None if self.prices is None else self.prices.to_message(f"{where}.prices")
        return cm.ChargingScheduleType(
            PowerSchedule=self.power.to_message(f"{where}.power"),
            AbsolutePriceSchedule=prices if isinstance(prices, cm.AbsolutePriceScheduleType) else None,
            PriceLevelSchedule=prices if isinstance(prices, cm.PriceLevelScheduleType) else None,
        )

    def starting(self, unix_s: int) -> ChargingSchedule:
        """The same, power and prices that name no time starting at ``unix_s``."""
        prices = self.prices
        return replace(
            self,
            power=replace(self.power, starts_at_unix_s=self.power.starts_at_unix_s or unix_s),
            prices=None if prices is None else _starting(prices, unix_s),
        )

    @classmethod
    def from_message(cls, message: cm.ChargingScheduleType, where: str = "ChargingSchedule") -> ChargingSchedule:
        """What an EVSE sent. Raises :class:`RemoteProtocolError` as its parts do."""
        return cls(
            power=PowerSchedule.from_message(message.PowerSchedule, f"{where}/PowerSchedule"),
            prices=_read_prices(message.AbsolutePriceSchedule, message.PriceLevelSchedule, where),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleTuple:
    """One offer among which the vehicle chooses: a charging schedule (powers >= 0) and, for BPT, a discharging one
    (powers <= 0). ``id`` 1..4294967295."""

    id: int
    charging: ChargingSchedule
    discharging: ChargingSchedule | None = None

    def to_message(self, where: str = "tuple") -> cm.ScheduleTupleType:
        """The wire type. Raises :class:`LocalProtocolError` naming the field that cannot be sent."""
        _check_sign(f"{where}.charging", self.charging, 1)
        if self.discharging is not None:
            _check_sign(f"{where}.discharging", self.discharging, -1)
            if self.discharging.power.available_energy_wh is not None:
                raise LocalProtocolError(
                    f"{where}.discharging.power.available_energy_wh is set; it belongs to a charging schedule only"
                )
        return cm.ScheduleTupleType(
            ScheduleTupleID=sent_integer(f"{where}.id", self.id, 1, MAX_UNSIGNED_INT),
            ChargingSchedule=self.charging.to_message(f"{where}.charging"),
            DischargingSchedule=None
            if self.discharging is None
            else self.discharging.to_message(f"{where}.discharging"),
        )

    @classmethod
    def from_message(cls, message: cm.ScheduleTupleType, where: str = "ScheduleTuple") -> ScheduleTuple:
        """What an EVSE sent, powers of the discharging schedule made negative. Raises :class:`RemoteProtocolError` as
        its parts do, and for a negative power in the charging schedule."""
        charging = ChargingSchedule.from_message(message.ChargingSchedule, f"{where}/ChargingSchedule")
        for i, slot in enumerate(charging.power.slots):
            if any(power is not None and power < 0 for power in slot.powers_w):
                raise RemoteProtocolError(f"{where}/ChargingSchedule: the power of entry {i} is negative")
        discharging = None
        if message.DischargingSchedule is not None:
            discharging = ChargingSchedule.from_message(message.DischargingSchedule, f"{where}/DischargingSchedule")
            discharging = replace(discharging, power=_negative(discharging.power))
        return cls(id=message.ScheduleTupleID, charging=charging, discharging=discharging)

    def starting(self, unix_s: int) -> ScheduleTuple:
        """The same, schedules that name no time (0) starting at ``unix_s``: what an SECC does before it sends it."""
        return replace(
            self,
            charging=self.charging.starting(unix_s),
            discharging=None if self.discharging is None else self.discharging.starting(unix_s),
        )

    def with_signature_ids(self) -> ScheduleTuple:
        """The same tuple, each price schedule with a ``signature_id`` of its own: the one it has, or else one made
        from the tuple's id, alike every time."""
        charging = _with_signature_id(self.charging, f"prices_{self.id}_charging")
        if self.discharging is None:
            return replace(self, charging=charging)
        return replace(
            self,
            charging=charging,
            discharging=_with_signature_id(self.discharging, f"prices_{self.id}_discharging"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DynamicSchedule:
    """What the EVSE says in dynamic mode: mobility needs it took over from elsewhere, and prices.

    ``departure_time_s`` counts from the message; ``*_soc_pct`` 0..100, the minimum not above the target
    ([V2G20-1640]). All may be left out.
    """

    departure_time_s: int | None = None
    min_soc_pct: int | None = None
    target_soc_pct: int | None = None
    prices: Prices | None = None

    def to_message(self, where: str = "schedule") -> cm.Dynamic_SEResControlModeType:
        """The wire type. Raises :class:`LocalProtocolError` naming the field that cannot be sent."""
        least = sent_optional_integer(f"{where}.min_soc_pct", self.min_soc_pct, 0, 100)
        target = sent_optional_integer(f"{where}.target_soc_pct", self.target_soc_pct, 0, 100)
        if least is not None and target is not None and least > target:
            raise LocalProtocolError(f"{where}.min_soc_pct is {least}, above the target_soc_pct of {target}")
        prices = None if self.prices is None else self.prices.to_message(f"{where}.prices")
        return cm.Dynamic_SEResControlModeType(
            DepartureTime=sent_optional_integer(
                f"{where}.departure_time_s", self.departure_time_s, 0, MAX_UNSIGNED_INT
            ),
            MinimumSOC=least,
            TargetSOC=target,
            AbsolutePriceSchedule=prices if isinstance(prices, cm.AbsolutePriceScheduleType) else None,
            PriceLevelSchedule=prices if isinstance(prices, cm.PriceLevelScheduleType) else None,
        )

    def starting(self, unix_s: int) -> DynamicSchedule:
        """The same, prices that name no time (0) starting at ``unix_s``."""
        return self if self.prices is None else replace(self, prices=_starting(self.prices, unix_s))

    @classmethod
    def from_message(
        cls, message: cm.Dynamic_SEResControlModeType, where: str = "Dynamic_SEResControlMode"
    ) -> DynamicSchedule:
        """What an EVSE sent, a minimum above the target included. Raises :class:`RemoteProtocolError` as the prices
        do."""
        return cls(
            departure_time_s=message.DepartureTime,
            min_soc_pct=message.MinimumSOC,
            target_soc_pct=message.TargetSOC,
            prices=_read_prices(message.AbsolutePriceSchedule, message.PriceLevelSchedule, where),
        )


def tuples_to_message(tuples: Sequence[ScheduleTuple], *, max_points: int = 1024) -> cm.Scheduled_SEResControlModeType:
    """One to three tuples for ScheduleExchangeRes.

    ``max_points`` is the vehicle's MaximumSupportingPoints: no list of slots, levels or stacks may be longer
    ([V2G20-1544]). Tuple ids differ, so do signature ids, and price levels of one direction count alike in all tuples
    ([V2G20-1201]). Raises :class:`LocalProtocolError` naming what cannot be sent.
    """
    sent_items("tuples", tuples, MOST_TUPLES)
    if len({offer.id for offer in tuples}) < len(tuples):
        raise LocalProtocolError("tuples: two of them have the same id")
    signature_ids: set[str] = set()
    for name in ("charging", "discharging"):
        numbers: set[int] = set()
        for i, offer in enumerate(tuples):
            schedule: ChargingSchedule | None = getattr(offer, name)
            if schedule is None:
                continue
            _check_points(f"tuples[{i}].{name}", schedule, max_points)
            if isinstance(schedule.prices, PriceLevels):
                numbers.add(schedule.prices.number_of_levels)
            if schedule.prices is not None and schedule.prices.signature_id is not None:
                if schedule.prices.signature_id in signature_ids:
                    raise LocalProtocolError(f"tuples[{i}].{name}.prices.signature_id is that of other prices, too")
                signature_ids.add(schedule.prices.signature_id)
        if len(numbers) > 1:
            raise LocalProtocolError(f"tuples: number_of_levels differs among {name} prices: {sorted(numbers)}")
    return cm.Scheduled_SEResControlModeType(
        ScheduleTuple=[offer.to_message(f"tuples[{i}]") for i, offer in enumerate(tuples)]
    )


def tuples_from_message(message: cm.Scheduled_SEResControlModeType) -> tuple[ScheduleTuple, ...]:
    """What an EVSE sent. Raises :class:`RemoteProtocolError` as :meth:`ScheduleTuple.from_message`."""
    entries = read_items("ScheduleTuple", message.ScheduleTuple)
    return tuple(ScheduleTuple.from_message(entry, f"ScheduleTuple[{i}]") for i, entry in enumerate(entries))


def flat_schedule(
    power_w: float,
    duration_s: int = DAY_S,
    starts_at_unix_s: int = 0,
    *,
    discharge_power_w: float | None = None,
    prices: Prices | None = None,
    discharge_prices: Prices | None = None,
    id: int = 1,
) -> ScheduleTuple:
    """The simplest offer: one constant power, and one to discharge with if ``discharge_power_w`` is given.

    ``power_w`` >= 0, ``discharge_power_w`` <= 0; checked when the tuple is sent. ``starts_at_unix_s`` 0: when it is
    sent. Without ``prices`` all energy costs the same: one price level.
    """

    return ScheduleTuple(
        id=id,
        charging=_flat(power_w, duration_s, starts_at_unix_s, prices, 2 * id - 1),
        discharging=None
        if discharge_power_w is None
        else _flat(discharge_power_w, duration_s, starts_at_unix_s, discharge_prices, 2 * id),
    )


def _flat(power_w: float, duration_s: int, starts_at_unix_s: int, prices: Prices | None, id: int) -> ChargingSchedule:
    level = PriceLevel(duration_s=duration_s, level=0)
    return ChargingSchedule(
        power=PowerSchedule.of((duration_s, power_w), starts_at_unix_s=starts_at_unix_s),
        prices=prices or PriceLevels(starts_at_unix_s=starts_at_unix_s, id=id, number_of_levels=1, slots=(level,)),
    )


def _check_sign(where: str, schedule: ChargingSchedule, sign: int) -> None:
    for i, slot in enumerate(schedule.power.slots):
        for name, power in zip(("power_w", "power_l2_w", "power_l3_w"), slot.powers_w, strict=True):
            if isinstance(power, int | float) and power * sign < 0:
                kind, must = ("charging", ">= 0") if sign > 0 else ("discharging", "<= 0")
                raise LocalProtocolError(f"{where}.power.slots[{i}].{name} is {power!r}, must be {must} when {kind}")


def _check_points(where: str, schedule: ChargingSchedule, most: int) -> None:
    because = ", the most that the vehicle takes"
    sent_items(f"{where}.power.slots", schedule.power.slots, most, because)
    if isinstance(schedule.prices, PriceLevels):
        sent_items(f"{where}.prices.slots", schedule.prices.slots, most, because)
    elif schedule.prices is not None:
        sent_items(f"{where}.prices.stacks", schedule.prices.stacks, most, because)


def _negative(power: PowerSchedule) -> PowerSchedule:
    def turned(value: float | None) -> float | None:
        return None if value is None else -abs(value)

    slots = tuple(
        replace(s, power_w=-abs(s.power_w), power_l2_w=turned(s.power_l2_w), power_l3_w=turned(s.power_l3_w))
        for s in power.slots
    )
    return replace(power, slots=slots)


def _starting(prices: Prices, unix_s: int) -> Prices:
    return replace(prices, starts_at_unix_s=prices.starts_at_unix_s or unix_s)


def _read_prices(
    absolute: cm.AbsolutePriceScheduleType | None, levels: cm.PriceLevelScheduleType | None, where: str
) -> Prices | None:
    if absolute is not None:
        return AbsolutePrices.from_message(absolute, f"{where}/AbsolutePriceSchedule")
    return None if levels is None else PriceLevels.from_message(levels, f"{where}/PriceLevelSchedule")


def _with_signature_id(schedule: ChargingSchedule, name: str) -> ChargingSchedule:
    if schedule.prices is None or schedule.prices.signature_id is not None:
        return schedule
    return replace(schedule, prices=replace(schedule.prices, signature_id=name))
