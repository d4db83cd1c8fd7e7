"""Power over time: the slots of a schedule that the EVSE offers, and of the profile by which the vehicle answers.

Powers follow the house sign: positive charges the vehicle, negative discharges it ([V2G20-1034], [V2G20-1035]); so
they stand in the messages, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pyiso15118.errors import LocalProtocolError, RemoteProtocolError
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages import common_types as ct
from pyiso15118.schedules.wire import (
    FULL,
    MAX_UNSIGNED_INT,
    read_anchor,
    read_items,
    read_number,
    read_optional,
    sent_anchor,
    sent_flag,
    sent_integer,
    sent_items,
    sent_number,
    sent_optional,
)

MOST_SLOTS, MOST_PROFILE_SLOTS = 1023, 2047
"""One below the schema's bounds, see ``wire.FULL``. A peer may fill them."""

Code = ct.responseCodeType
Acceptance = cm.powerToleranceAcceptanceType
Powers = tuple[float, float | None, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerSlot:
    """A power for a time.

    Without ``power_l2_w`` and ``power_l3_w``, ``power_w`` is the power of all phases together; with either of them it
    is that of L1 ([V2G20-1817], [V2G20-1818]). ``duration_s`` is 1..4294967295, powers are within ±1e9 W; a vehicle or
    EVSE may also send slots of 0 s, which never apply.
    """

    duration_s: int
    power_w: float
    power_l2_w: float | None = None
    power_l3_w: float | None = None

    @property
    def total_w(self) -> float:
        """The power of all phases together."""
        return self.power_w + (self.power_l2_w or 0.0) + (self.power_l3_w or 0.0)

    @property
    def powers_w(self) -> Powers:
        """``power_w``, ``power_l2_w`` and ``power_l3_w``."""
        return self.power_w, self.power_l2_w, self.power_l3_w

    def to_message(self, where: str = "slot") -> cm.PowerScheduleEntryType:
        """The wire type. Raises :class:`LocalProtocolError` naming the field that cannot be sent."""
        return cm.PowerScheduleEntryType(
            Duration=sent_integer(f"{where}.duration_s", self.duration_s, 1, MAX_UNSIGNED_INT),
            Power=sent_number(f"{where}.power_w", self.power_w),
            Power_L2=sent_optional(f"{where}.power_l2_w", self.power_l2_w),
            Power_L3=sent_optional(f"{where}.power_l3_w", self.power_l3_w),
        )

    @classmethod
    def from_message(cls, message: cm.PowerScheduleEntryType, where: str = "PowerScheduleEntry") -> PowerSlot:
        """What a peer sent. Raises :class:`RemoteProtocolError` for powers beyond ±1e9 W."""
        return cls(
            duration_s=message.Duration,
            power_w=read_number(f"{where}/Power", message.Power),
            power_l2_w=read_optional(f"{where}/Power_L2", message.Power_L2),
            power_l3_w=read_optional(f"{where}/Power_L3", message.Power_L3),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerSchedule:
    """Slots that follow each other without a gap from ``starts_at_unix_s`` on ([V2G20-1874]).

    ``starts_at_unix_s`` 0 means that no time is named: several stacks do that, and the schedule starts when it is
    used. ``available_energy_wh``: what the EVSE can give in all, > 0, of a charging schedule only ([V2G20-2189],
    [V2G20-2190]). ``tolerance_w``: set it only to hold the vehicle within that band around its own profile, > 0, not
    below 5 % of the EVSE's maximum power ([V2G20-1069], [V2G20-1871]).
    """

    starts_at_unix_s: int
    slots: tuple[PowerSlot, ...]
    available_energy_wh: float | None = None
    tolerance_w: float | None = None

    @classmethod
    def of(cls, *slots: tuple[int, float], starts_at_unix_s: int = 0) -> PowerSchedule:
        """A schedule of so many seconds at so many watts each: ``PowerSchedule.of((3600, 11_000), (7200, 3_700))``."""
        return cls(
            starts_at_unix_s=starts_at_unix_s,
            slots=tuple(PowerSlot(duration_s=duration_s, power_w=power_w) for duration_s, power_w in slots),
        )

    @property
    def duration_s(self) -> int:
        """Length of all slots together."""
        return sum(slot.duration_s for slot in self.slots)

    @property
    def ends_at_unix_s(self) -> int:
        """The first second after the last slot."""
        return self.starts_at_unix_s + self.duration_s

    def power_at(self, unix_s: float) -> Powers | None:
        """The powers of the slot that applies, as :attr:`PowerSlot.powers_w`; None before the first and after the
        last, where the standard takes the power for zero ([V2G20-1811])."""
        slot = slot_at(self.starts_at_unix_s, self.slots, unix_s)
        return None if slot is None else slot.powers_w

    def total_w_at(self, unix_s: float) -> float:
        """The power of all phases together; 0 before the first slot and after the last ([V2G20-1811])."""
        return _total_w_at(self.starts_at_unix_s, self.slots, unix_s)

    def to_message(self, where: str = "power") -> cm.PowerScheduleType:
        """The wire type. Raises :class:`LocalProtocolError` naming the field that cannot be sent."""
        entries = _sent_slots(where, self.slots, MOST_SLOTS)
        return cm.PowerScheduleType(
            TimeAnchor=sent_anchor(f"{where}.starts_at_unix_s", self.starts_at_unix_s, self.slots),
            AvailableEnergy=sent_optional(f"{where}.available_energy_wh", self.available_energy_wh, 1e-3),
            PowerTolerance=sent_optional(f"{where}.tolerance_w", self.tolerance_w, 1e-3),
            PowerScheduleEntries=cm.PowerScheduleEntryListType(PowerScheduleEntry=entries),
        )

    @classmethod
    def from_message(cls, message: cm.PowerScheduleType, where: str = "PowerSchedule") -> PowerSchedule:
        """What a peer sent. Raises :class:`RemoteProtocolError` for an empty list, numbers beyond ±1e9 or negative
        where only a magnitude makes sense, and times after the year 9999."""
        slots = _read_slots(where, message.PowerScheduleEntries.PowerScheduleEntry)
        return cls(
            starts_at_unix_s=read_anchor(f"{where}/TimeAnchor", message.TimeAnchor, slots),
            slots=slots,
            available_energy_wh=read_optional(f"{where}/AvailableEnergy", message.AvailableEnergy, 0),
            tolerance_w=read_optional(f"{where}/PowerTolerance", message.PowerTolerance, 0),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerProfile:
    """The vehicle's plan in PowerDeliveryReq (EVPowerProfile): average powers, charging and discharging
    ([V2G20-1010]).

    ``selected_tuple_id``: the schedule tuple it keeps to; None in dynamic mode, where the plan is no more than a
    forecast. ``tolerance_accepted``: whether the vehicle will stay within the EVSE's tolerance; None says nothing,
    which EcoG's SECC refuses in scheduled mode. ``starts_at_unix_s`` as in :class:`PowerSchedule`.
    """

    starts_at_unix_s: int
    slots: tuple[PowerSlot, ...]
    selected_tuple_id: int | None = None
    tolerance_accepted: bool | None = None

    @property
    def duration_s(self) -> int:
        """Length of all slots together."""
        return sum(slot.duration_s for slot in self.slots)

    def power_at(self, unix_s: float) -> Powers | None:
        """As :meth:`PowerSchedule.power_at`."""
        slot = slot_at(self.starts_at_unix_s, self.slots, unix_s)
        return None if slot is None else slot.powers_w

    def total_w_at(self, unix_s: float) -> float:
        """As :meth:`PowerSchedule.total_w_at`."""
        return _total_w_at(self.starts_at_unix_s, self.slots, unix_s)

    def to_message(self, where: str = "profile") -> cm.EVPowerProfileType:
        """The wire type. Raises :class:`LocalProtocolError` naming the field that cannot be sent."""
        entries = _sent_slots(where, self.slots, MOST_PROFILE_SLOTS)
        scheduled = None
        if self.selected_tuple_id is not None:
            scheduled = cm.Scheduled_EVPPTControlModeType(
                SelectedScheduleTupleID=sent_integer(
                    f"{where}.selected_tuple_id", self.selected_tuple_id, 1, MAX_UNSIGNED_INT
                ),
                PowerToleranceAcceptance=_acceptance(f"{where}.tolerance_accepted", self.tolerance_accepted),
            )
        elif self.tolerance_accepted is not None:
            raise LocalProtocolError(
                f"{where}.tolerance_accepted is set without selected_tuple_id: in dynamic mode it is None"
            )
        return cm.EVPowerProfileType(
            TimeAnchor=sent_anchor(f"{where}.starts_at_unix_s", self.starts_at_unix_s, self.slots),
            Dynamic_EVPPTControlMode=cm.Dynamic_EVPPTControlModeType() if scheduled is None else None,
            Scheduled_EVPPTControlMode=scheduled,
            EVPowerProfileEntries=cm.EVPowerProfileEntryListType(EVPowerProfileEntry=entries),
        )

    @classmethod
    def from_message(cls, message: cm.EVPowerProfileType, where: str = "EVPowerProfile") -> PowerProfile:
        """What a vehicle sent. Raises :class:`RemoteProtocolError` as :meth:`PowerSchedule.from_message`, with
        FAILED_EVPowerProfileInvalid to answer."""
        try:
            slots = _read_slots(where, message.EVPowerProfileEntries.EVPowerProfileEntry)
            starts_at_unix_s = read_anchor(f"{where}/TimeAnchor", message.TimeAnchor, slots)
        except RemoteProtocolError as error:
            raise RemoteProtocolError(str(error), Code.FAILED_EVPowerProfileInvalid) from None
        mode = message.Scheduled_EVPPTControlMode
        accepted = None if mode is None else mode.PowerToleranceAcceptance
        return cls(
            starts_at_unix_s=starts_at_unix_s,
            slots=slots,
            selected_tuple_id=None if mode is None else mode.SelectedScheduleTupleID,
            tolerance_accepted=None if accepted is None else accepted is Acceptance.PowerToleranceConfirmed,
        )


def segments(starts_at_s: int, slots: Sequence[PowerSlot]) -> Iterator[tuple[int, int, PowerSlot]]:
    """Begin, end and slot of each that lasts."""
    begin = starts_at_s
    for slot in slots:
        if slot.duration_s > 0:
            yield begin, begin + slot.duration_s, slot
        begin += slot.duration_s


def slot_at(starts_at_s: int, slots: Sequence[PowerSlot], at_s: float) -> PowerSlot | None:
    """The slot that applies at a time; None before the first and after the last."""
    if at_s >= starts_at_s:
        for _, end, slot in segments(starts_at_s, slots):
            if at_s < end:
                return slot
    return None


def _total_w_at(starts_at_s: int, slots: Sequence[PowerSlot], at_s: float) -> float:
    slot = slot_at(starts_at_s, slots, at_s)
    return 0.0 if slot is None else slot.total_w


def _sent_slots(where: str, slots: Sequence[PowerSlot], most: int) -> list[cm.PowerScheduleEntryType]:
    return [s.to_message(f"{where}.slots[{i}]") for i, s in enumerate(sent_items(f"{where}.slots", slots, most, FULL))]


def _read_slots(where: str, entries: Sequence[cm.PowerScheduleEntryType]) -> tuple[PowerSlot, ...]:
    return tuple(PowerSlot.from_message(e, f"{where}[{i}]") for i, e in enumerate(read_items(where, entries)))


def _acceptance(where: str, accepted: bool | None) -> Acceptance | None:
    if accepted is None:
        return None
    if sent_flag(where, accepted):
        return Acceptance.PowerToleranceConfirmed
    return Acceptance.PowerToleranceNotConfirmed
