"""Whether a vehicle's plan keeps within the schedule it chose, and whether its power keeps to the plan.

Where schedule and plan name different times, the plan is judged like this. Before its start a schedule allows nothing
([V2G20-1811]). After its end it is not judged: a new one is due as soon as its last slot applies ([V2G20-1564]). A plan
that names no time, or one at which the schedule is over or yet to come altogether, begins with the schedule: several
vehicles send 0, and some know no calendar. A plan may end early; from then on its power is zero.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pyiso15118.messages import common_types as ct
from pyiso15118.schedules.offers import ChargingSchedule, ScheduleTuple
from pyiso15118.schedules.power import PowerProfile, PowerSlot, segments

Code = ct.responseCodeType

SLACK_S = 60
"""How long before its schedule a plan may begin: a vehicle's clock is not the EVSE's."""
_ROUNDING = 1e-6
_NOTHING = PowerSlot(duration_s=1, power_w=0.0, power_l2_w=0.0, power_l3_w=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileProblem:
    """What is wrong, and the code that says so: FAILED_ScheduleSelectionInvalid or FAILED_EVPowerProfileInvalid, which
    end the session, or WARNING_EVPowerProfileViolation."""

    code: ct.responseCodeType
    reason: str


def profile_problem(
    profile: PowerProfile, tuples: Sequence[ScheduleTuple], *, slack_s: int = SLACK_S
) -> ProfileProblem | None:
    """Why the plan of a PowerDeliveryReq(Start) must be refused; None if it must be accepted ([V2G20-1070]).

    FAILED_ScheduleSelectionInvalid: the chosen tuple is none of ``tuples`` ([V2G20-479], under its name in the schema).
    FAILED_EVPowerProfileInvalid: at some time the plan charges with more than the tuple's charging schedule allows, or
    discharges with more than its discharging schedule does, in all or on a phase if both tell phases apart
    ([V2G20-478], [V2G20-1559]). A plan of dynamic mode is a forecast and always accepted.

    ``tuples``: as they were sent, times included. The power they allow is taken as rounded on the wire.
    """
    if profile.selected_tuple_id is None:
        return None
    chosen = next((offer for offer in tuples if offer.id == profile.selected_tuple_id), None)
    if chosen is None:
        offered = ", ".join(str(offer.id) for offer in tuples) or "none"
        reason = f"schedule tuple {profile.selected_tuple_id} was chosen, offered: {offered}"
        return ProfileProblem(code=Code.FAILED_ScheduleSelectionInvalid, reason=reason)
    plan = _Layout(profile, chosen, slack_s)
    for at in sorted({*plan.profile.begins, *plan.charge.begins, *plan.discharge.begins}):
        slot = plan.profile.at(at)
        if slot is None:
            continue
        problem = plan.excess(slot, at, _ROUNDING)
        if problem is not None:
            since = at - plan.begin
            reason = f"{since} s after its start the power profile has {problem} of schedule tuple {chosen.id}"
            return ProfileProblem(code=Code.FAILED_EVPowerProfileInvalid, reason=reason)
    return None


class PowerWatch:
    """Compares the power measured in the charge loop with what the vehicle planned and its schedule tuple allows.

    Made once for an accepted plan, then asked at each loop. The power must stay within what ``chosen`` allows
    ([V2G20-1547]) and, where its schedule has a tolerance that the vehicle did not decline, within that band around the
    plan, or at zero where the plan is zero ([V2G20-1069]). ``margin_w``: what the measurement may be wrong by, >= 0.
    """

    def __init__(
        self, profile: PowerProfile, chosen: ScheduleTuple, *, margin_w: float, slack_s: int = SLACK_S
    ) -> None:
        self._plan = _Layout(profile, chosen, slack_s)
        self._chosen = chosen
        self._margin_w = margin_w
        self._held = profile.tolerance_accepted is not False

    def problem(self, power_w: float, unix_s: float) -> ProfileProblem | None:
        """WARNING_EVPowerProfileViolation and why, or None.

        ``power_w`` of all phases, negative to discharge. The vehicle is warned in each response until it keeps to its
        plan again; how long, the owner decides ([V2G20-1953]).
        """
        measured = PowerSlot(duration_s=1, power_w=power_w)
        problem = self._plan.excess(measured, unix_s, self._margin_w)
        if problem is not None:
            return _violation(f"the power is {problem} of schedule tuple {self._chosen.id}")
        planned = self._plan.profile.at(unix_s)
        if planned is None or not self._held:
            return None
        tolerance_w = self._tolerance_w(planned)
        if tolerance_w is None or abs(power_w - planned.total_w) <= tolerance_w + self._margin_w:
            return None
        return _violation(f"the power is {power_w:g} W, the power profile has {planned.total_w:g} ± {tolerance_w:g} W")

    def _tolerance_w(self, planned: PowerSlot) -> float | None:
        charging, discharging = self._chosen.charging, self._chosen.discharging
        tolerance_w = charging.power.tolerance_w
        if discharging is not None and planned.total_w < 0:
            tolerance_w = discharging.power.tolerance_w or tolerance_w
        return 0.0 if tolerance_w and planned.total_w == 0 else tolerance_w or None


def tolerance_code(profile: PowerProfile) -> ct.responseCodeType:
    """The code by which a plan without problem is answered: OK, OK_PowerToleranceConfirmed ([V2G20-1944]), or
    WARNING_PowerToleranceNotConfirmed ([V2G20-1946]), after which the EVSE may ask for schedule renegotiation."""
    if profile.selected_tuple_id is None or profile.tolerance_accepted is None:
        return Code.OK
    return Code.OK_PowerToleranceConfirmed if profile.tolerance_accepted else Code.WARNING_PowerToleranceNotConfirmed


def follow(
    chosen: ScheduleTuple,
    *,
    max_power_w: float | None = None,
    discharge: bool = False,
    tolerance_accepted: bool | None = True,
) -> PowerProfile:
    """The plan that takes all the chosen tuple allows, or gives back all with ``discharge``.

    ``max_power_w``: the vehicle's own limit of all phases, a magnitude. ``discharge`` without a discharging schedule
    gives a plan of zero.
    """
    schedule = chosen.discharging if discharge else chosen.charging
    if schedule is None:
        schedule, max_power_w = chosen.charging, 0.0
    power = schedule.power
    slots = tuple(_within(slot, max_power_w) for slot in power.slots)
    return PowerProfile(
        starts_at_unix_s=power.starts_at_unix_s,
        slots=slots,
        selected_tuple_id=chosen.id,
        tolerance_accepted=tolerance_accepted,
    )


class _Line:
    """Slots laid out in time, those without length left out."""

    def __init__(self, begin: int, slots: Sequence[PowerSlot]) -> None:
        parts = list(segments(begin, slots))
        self.begins = [start for start, _, _ in parts]
        self.end = parts[-1][1] if parts else begin
        self._slots = [slot for _, _, slot in parts]

    def at(self, at_s: float) -> PowerSlot | None:
        i = bisect_right(self.begins, at_s) - 1
        return self._slots[i] if i >= 0 and at_s < self.end else None


class _Limit(_Line):
    """A schedule as the other side knows it: nothing before its start, less the slack; unknown after its end."""

    def __init__(self, schedule: ChargingSchedule | None, begin: int, slack_s: int) -> None:
        self._absent = schedule is None
        power = None if schedule is None else schedule.power
        super().__init__((power and power.starts_at_unix_s) or begin, power.slots if power else ())
        if self.begins:
            self.begins[0] -= slack_s

    def at(self, at_s: float) -> PowerSlot | None:
        if self._absent or (self.begins and at_s < self.begins[0]):
            return _NOTHING
        slot = super().at(at_s)
        return None if slot is None else _as_sent(slot)


class _Layout:
    """A plan and the limits of its tuple on one time axis."""

    def __init__(self, profile: PowerProfile, chosen: ScheduleTuple, slack_s: int) -> None:
        self.begin = begin = _begin(profile, chosen)
        self.profile = _Line(begin, profile.slots)
        self.charge = _Limit(chosen.charging, begin, slack_s)
        self.discharge = _Limit(chosen.discharging, begin, slack_s)

    def excess(self, slot: PowerSlot, at_s: float, margin_w: float) -> str | None:
        """What power a slot has and may not have at a time, in words."""
        charge, discharge = self.charge.at(at_s), self.discharge.at(at_s)
        most = None if charge is None else charge.total_w
        least = None if discharge is None else discharge.total_w
        problem = _beyond(slot.total_w, most, least, margin_w, "")
        if problem is None and _by_phase(slot):
            charges, discharges = _phases(charge), _phases(discharge)
            for i, phase in enumerate((" on L1", " on L2", " on L3")):
                power = slot.powers_w[i] or 0.0
                problem = problem or _beyond(
                    power, charges and charges[i], discharges and discharges[i], margin_w, phase
                )
        return problem


def _violation(reason: str) -> ProfileProblem:
    return ProfileProblem(code=Code.WARNING_EVPowerProfileViolation, reason=reason)


def _begin(profile: PowerProfile, chosen: ScheduleTuple) -> int:
    powers = [schedule.power for schedule in (chosen.charging, chosen.discharging) if schedule is not None]
    timed = [power for power in powers if power.starts_at_unix_s]
    begin = profile.starts_at_unix_s
    if not timed:
        return begin
    start, end = min(power.starts_at_unix_s for power in timed), max(power.ends_at_unix_s for power in timed)
    return begin if begin < end and begin + profile.duration_s > start else start


def _beyond(power_w: float, most_w: float | None, least_w: float | None, margin_w: float, where: str) -> str | None:
    if most_w is not None and power_w > max(most_w, 0.0) + margin_w:
        return f"{power_w:g} W{where}, above the {most_w:g} W"
    if least_w is not None and power_w < min(least_w, 0.0) - margin_w:
        return f"{power_w:g} W{where}, below the {least_w:g} W"
    return None


def _phases(limit: PowerSlot | None) -> tuple[float, float, float] | None:
    if limit is None or not _by_phase(limit):
        return None
    return limit.power_w, limit.power_l2_w or 0.0, limit.power_l3_w or 0.0


def _by_phase(slot: PowerSlot) -> bool:
    return slot.power_l2_w is not None or slot.power_l3_w is not None


def _within(slot: PowerSlot, max_power_w: float | None) -> PowerSlot:
    total = abs(slot.total_w)
    return slot if max_power_w is None or total <= max_power_w else _scaled(slot, max_power_w / total)


def _scaled(slot: PowerSlot, factor: float) -> PowerSlot:
    def part(power: float | None) -> float | None:
        return None if power is None else power * factor

    return replace(
        slot, power_w=slot.power_w * factor, power_l2_w=part(slot.power_l2_w), power_l3_w=part(slot.power_l3_w)
    )


def _as_sent(slot: PowerSlot) -> PowerSlot:
    def rounded(power: float | None) -> float | None:
        return None if power is None else float(ct.RationalNumberType.of(power))

    return replace(
        slot,
        power_w=float(ct.RationalNumberType.of(slot.power_w)),
        power_l2_w=rounded(slot.power_l2_w),
        power_l3_w=rounded(slot.power_l3_w),
    )
