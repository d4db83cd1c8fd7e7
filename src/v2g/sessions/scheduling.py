"""One session's schedules and mobility needs: what was asked, offered and announced, and when to negotiate anew. Pure.

Scheduled mode: a request is answered with the plan's schedule as soon as there is one, within :data:`OFFER_WITHIN_S`
with a flat one. When what would be offered now is materially different from what was offered, the vehicle is asked to
renegotiate; one that does not come in :data:`ASKED_FOR_S` keeps its schedule, and one that ends its session instead is
not asked again. The charge loop holds it to its grant meanwhile, as always.
Dynamic mode where the SECC provides the mobility needs: it is told the site's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from pyiso15118 import events as ev
from pyiso15118.commands import Command, OfferSchedules, SetMobilityNeeds
from pyiso15118.schedules import PowerProfile, ScheduleTuple
from v2g.dispatch.wants import Wants
from v2g.sessions.schedules import PowerPlan, Room, coming, differing_s, flat_offer, planned_offer
from v2g.sessions.watch import Lasting
from v2g.units import format_power

OFFER_WITHIN_S = 10.0
"""So long a request waits for the plan, or for a site that permits nothing to permit something."""
MATERIAL_PU = 0.1
"""Of the EVSE's rating; and :data:`MATERIAL_W` at least."""
MATERIAL_W = 1000.0
MATERIAL_S = 60.0
"""A difference counts if it is there for longer than this within the coming hour, and has stood for as long."""
AHEAD_S = 3600.0
ASK_EVERY_S = 300.0
ASKED_FOR_S = 60.0
COMPARE_EVERY_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What the site knows of the time ahead of one vehicle.

    ``schedule``: the plan's part for it; None: there is none. ``plan_awaited``: one is being made, and a schedule that
    is asked for may wait for it. ``unix_s``: the calendar time at this moment; None: not known.
    """

    schedule: PowerPlan | None = None
    plan_awaited: bool = False
    unix_s: float | None = None


NO_OUTLOOK = Outlook()


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something for comms.log. ``is_warning``: somebody should look at it."""

    code: str
    text: str
    is_warning: bool = False


class Scheduling:
    """What one session agreed on. :meth:`take` events, then :meth:`answer` in each control cycle."""

    def __init__(self) -> None:
        self.offered: ScheduleTuple | None = None
        """What the vehicle was offered last, with times if the calendar was known."""
        self.profile: PowerProfile | None = None
        """How the vehicle said that it will follow it."""
        self.secc_departs_at_s: float | None = None
        """Monotonic; where the SECC provides the mobility needs."""
        self._request: ev.ScheduleRequested | None = None
        self._asked_at_s = 0.0
        self._departs_at_s: float | None = None
        self._by_plan = False
        self.told: SetMobilityNeeds | None = None
        """The mobility needs that the SECC provided, where it does."""
        self._stay_s = 0.0
        self._negotiated_at_s = self._compared_at_s = -math.inf
        self.left_when_asked = False
        """The vehicle ended its session where it was asked to renegotiate: some take any notification for a stop."""
        self.ask = True
        """Whether the vehicle may be asked at all."""
        self._notified_at_s: float | None = None
        self._is_material = False
        self._material = Lasting()
        self._notices: list[Notice] = []

    @property
    def may_answer(self) -> bool:
        """There is something to say, or to say anew: most sessions never have."""
        return self._request is not None or self.told is not None

    def take_notices(self) -> tuple[Notice, ...]:
        """What happened since this was asked last."""
        notices = tuple(self._notices)
        self._notices.clear()
        return notices

    # ---- what the protocol says ----

    def take(self, event: ev.Event, now_s: float) -> None:
        match event:
            case ev.ScheduleRequested():
                self._request, self._asked_at_s = event, now_s
                departure_s = event.needs.departure_time_s
                self._departs_at_s = None if departure_s is None else now_s + departure_s
                self._notified_at_s = None
            case ev.RenegotiationStarted(service=False):
                self._notified_at_s = None
            case ev.PowerProfileReceived():
                self.profile = self._in_time(event.profile)
            case ev.LimitIgnored():
                self._notices.append(
                    Notice(
                        code="LIMIT_IGNORED",
                        text=f"{format_power(event.measured_w)} measured, {format_power(event.granted_w)} granted",
                        is_warning=True,
                    )
                )
            case ev.PowerDeliveryStopped() | ev.SessionEnded():
                self.left_when_asked = self.left_when_asked or self._notified_at_s is not None
                self._request = self._notified_at_s = None

    def _in_time(self, profile: PowerProfile) -> PowerProfile:
        """A profile that names no time, or one at which its schedule is not, begins with the schedule: some vehicles
        know no calendar, and the protocol has judged it so, too."""
        power = self.offered.charging.power if self.offered is not None else None
        if power is None or not power.starts_at_unix_s:
            return profile
        begin = profile.starts_at_unix_s
        if begin < power.ends_at_unix_s and begin + profile.duration_s > power.starts_at_unix_s:
            return profile
        return replace(profile, starts_at_unix_s=power.starts_at_unix_s)

    def planned_w(self, unix_s: float | None) -> float | None:
        """The power that the vehicle announced for this moment, signed, of all phases; None: not known. Zero where its
        profile is over ([V2G20-1811])."""
        if self.profile is None or unix_s is None or not self.profile.starts_at_unix_s:
            return None
        return self.profile.total_w_at(unix_s)

    # ---- one control cycle ----

    def answer(self, outlook: Outlook, room: Room, wants: Wants, now_s: float) -> tuple[Command, ...]:
        """What the vehicle waits for, and mobility needs that have changed. ``wants``: what the site asks for it."""
        request = self._request
        if request is None:
            return self._mobility_again(wants, now_s)
        if request.control_mode is not ev.ControlMode.SCHEDULED:
            self._request = None
            return (self._mobility(wants, now_s),)
        offered = self._offer(request, outlook, room, now_s)
        if offered is None:
            return ()
        self._request, self.offered, self.profile = None, offered, None
        self._negotiated_at_s, self._is_material = now_s, False
        self._material.update(False, now_s)
        self._notices.append(Notice(code="SCHEDULE_OFFERED", text=self._words(offered)))
        return (OfferSchedules(tuples=(offered,)),)

    def _offer(self, request: ev.ScheduleRequested, outlook: Outlook, room: Room, now_s: float) -> ScheduleTuple | None:
        unix_s, departure_s = outlook.unix_s, self._departure_s(now_s)
        if outlook.schedule is not None and unix_s is not None:
            offered = planned_offer(
                outlook.schedule, room, unix_s, departure_s=departure_s, max_points=request.max_supporting_points
            )
            if offered is not None:
                self._by_plan = True
                return offered
        # While charging the vehicle's loop stands still until it is answered.
        waits = (outlook.plan_awaited or room.closed) and not request.renegotiation
        if waits and now_s - self._asked_at_s < OFFER_WITHIN_S:
            return None
        self._by_plan = False
        return flat_offer(room, unix_s, departure_s=departure_s)

    def _departure_s(self, now_s: float) -> int | None:
        return None if self._departs_at_s is None else max(0, round(self._departs_at_s - now_s))

    def _words(self, offered: ScheduleTuple) -> str:
        slots = offered.charging.power.slots
        most_w = max(slot.power_w for slot in slots)
        both = ""
        if offered.discharging is not None:
            least_w = min(slot.power_w for slot in offered.discharging.power.slots)
            both = f", back {format_power(-least_w)}"
        kind = f"by the plan, {len(slots)} slots" if self._by_plan else "flat: there is no plan"
        return (
            f"schedule of {offered.charging.power.duration_s / 3600.0:.0f} h {kind}; up to {format_power(most_w)}{both}"
        )

    def _mobility(self, wants: Wants, now_s: float) -> SetMobilityNeeds:
        if self.secc_departs_at_s is None or self._stay_s != wants.assumed_stay_s:
            self._stay_s = wants.assumed_stay_s
            self.secc_departs_at_s = self._asked_at_s + wants.assumed_stay_s
        least = round(wants.min_soc_pct)
        self.told = SetMobilityNeeds(
            departure_time_s=max(0, round(self.secc_departs_at_s - now_s)),
            min_soc_pct=least,
            target_soc_pct=max(least, round(wants.max_soc_pct)),
        )
        return self.told

    def _mobility_again(self, wants: Wants, now_s: float) -> tuple[Command, ...]:
        told = self.told
        if told is None:
            return ()
        least = round(wants.min_soc_pct)
        same = told.min_soc_pct == least and told.target_soc_pct == max(least, round(wants.max_soc_pct))
        if same and self._stay_s == wants.assumed_stay_s:
            return ()
        return (self._mobility(wants, now_s),)

    # ---- renegotiation ----

    def wants_renegotiation(self, outlook: Outlook, room: Room, now_s: float) -> bool:
        """Whether the vehicle is to be asked for it now. For one whose charge loop runs in scheduled mode."""
        asked_at_s = self._notified_at_s
        if asked_at_s is not None:
            if now_s - asked_at_s < ASKED_FOR_S:
                return True
            self._notified_at_s = None
            self._notices.append(
                Notice(
                    code="RENEGOTIATION_IGNORED",
                    text=f"the vehicle did not come for a new schedule within {ASKED_FOR_S:.0f} s; its old one stands",
                    is_warning=True,
                )
            )
            return False
        if self._request is not None or self.offered is None or outlook.unix_s is None or not self.ask:
            return False
        if now_s - self._compared_at_s >= COMPARE_EVERY_S:
            self._compared_at_s = now_s
            self._is_material = self._differs(outlook, room, outlook.unix_s)
        lasted_s = self._material.update(self._is_material, now_s)
        if lasted_s <= MATERIAL_S or now_s - self._negotiated_at_s < ASK_EVERY_S:
            return False
        self._notified_at_s = self._negotiated_at_s = now_s
        self._notices.append(
            Notice(code="RENEGOTIATION_ASKED", text="its schedule is not what the site can offer it now")
        )
        return True

    def _differs(self, outlook: Outlook, room: Room, unix_s: float) -> bool:
        offered = self.offered
        if offered is None or not offered.charging.power.starts_at_unix_s:
            return False
        if outlook.schedule is not None:
            fresh = coming(outlook.schedule, room, unix_s, AHEAD_S)
        elif self._by_plan or room.closed:
            # A plan that is gone, or a permit, says nothing of the hour to come.
            return False
        else:
            fresh = flat_offer(room, unix_s)
        if fresh is None:
            return False
        by_w = max(MATERIAL_PU * room.rated_w, MATERIAL_W)
        return differing_s(offered, fresh, unix_s, AHEAD_S, by_w) > MATERIAL_S
