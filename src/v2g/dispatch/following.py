"""The way from one allocation to the next: ramps, and room that is there only once it is measured. Pure.

A vehicle that is told less needs a moment to follow, and one that does not follow goes on. So power falls at once and
rises only into room that is free by measurement; what a vehicle takes beyond all that it was told within
:data:`v2g.course.FOLLOW_S` counts as taken, and the others get less, until it follows or is isolated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import fsum, inf
from typing import Final

from v2g.course import Course
from v2g.dispatch.claims import LEAST_W, Claim
from v2g.dispatch.filling import Limit, fill
from v2g.dispatch.sharing import Room, room_limits

TOLERANCE_W: Final = 200.0
TOLERANCE: Final = 0.03
"""Of the rating: errors of meters, and auxiliaries."""
RAMP: Final = "ramp"
ROOM: Final = "waits until others have made room"
_DRIFT_S: Final = 10.0
"""Over so long the noise of a meter is no drift."""
_MOST_STEP_S: Final = 5.0
"""A clock that jumps ahead is no licence to jump in power."""


class Following:
    """What each vehicle was told, and whether it does it."""

    def __init__(self, ramp_pu_s: float) -> None:
        self._ramp_pu_s = ramp_pu_s
        self._at_s: float | None = None
        self._elapsed_s = 0.0
        self._before: dict[str, float] = {}
        self._told: dict[str, float] = {}
        self._course: dict[str, Course] = {}
        self._drift_w: dict[str, float] = {}
        self._drift_before_w: dict[str, float] = {}
        self.ignored_w: dict[str, float] = {}
        """By EVSE: signed power beyond what its vehicle was told, for longer than it may take to follow."""

    def adopt(self, ramp_pu_s: float) -> None:
        self._ramp_pu_s = ramp_pu_s

    def observe(self, measured_w: Mapping[str, float], rated_w: Mapping[str, float], now_s: float) -> None:
        """A new moment, or the same one again. ``measured_w`` by EVSE, signed."""
        if now_s != self._at_s:
            past_s = 0.0 if self._at_s is None else now_s - self._at_s
            self._elapsed_s = min(max(past_s, 0.0), _MOST_STEP_S)
            self._before, self._told, self._at_s = self._told, {}, now_s
            self._drift_before_w = self._drift_w
            self._keep_course(now_s)
        self.ignored_w, self._drift_w = {}, {}
        for evse_id, power_w in measured_w.items():
            said = self._course.get(evse_id)
            if said is None:
                continue
            excess_w = max(power_w - max(0.0, said.highest), 0.0) + min(power_w - min(0.0, said.lowest), 0.0)
            if abs(excess_w) > _tolerance_w(rated_w.get(evse_id, 0.0)):
                self.ignored_w[evse_id] = excess_w
            else:
                self._drift_w[evse_id] = self._drifted(evse_id, power_w - said.last if said.steady else excess_w)

    def _drifted(self, evse_id: str, deviation_w: float) -> float:
        before_w = self._drift_before_w.get(evse_id, 0.0)
        return before_w + (deviation_w - before_w) * min(1.0, self._elapsed_s / _DRIFT_S)

    def beyond_w(self) -> dict[str, float]:
        """By EVSE: signed power beyond what its vehicle was told, ignored or within the tolerance and steady.

        One within the tolerance is nothing; all of them together are a limit passed for good.
        """
        beyond_w = dict(self.ignored_w)
        for evse_id, drift_w in self._drift_w.items():
            told_w = self.before_w(evse_id)
            if abs(drift_w) >= LEAST_W and drift_w * told_w >= 0.0:
                beyond_w[evse_id] = drift_w
        return beyond_w

    def _keep_course(self, now_s: float) -> None:
        for evse_id, told_w in self._before.items():
            self._course.setdefault(evse_id, Course()).add(told_w, now_s)
        for evse_id in self._course.keys() - self._before.keys():
            del self._course[evse_id]

    def before_w(self, evse_id: str) -> float:
        """What a vehicle was told last, signed; 0 W where nothing."""
        return self._before.get(evse_id, 0.0)

    def carry_out(
        self, sign: float, claims: Sequence[Claim], rooms: Sequence[Room], measured_w: Mapping[str, float]
    ) -> None:
        """Set ``power_w`` of one direction's claims from their ``target_w``."""
        rises = []
        for claim in claims:
            was_w = sign * self.before_w(claim.evse_id)
            kept_w = min(claim.target_w, max(0.0, was_w))
            if kept_w < claim.minimum_w:
                kept_w = 0.0
            claim.power_w = kept_w
            turning = was_w < -LEAST_W
            rises.append(0.0 if turning else min(claim.target_w - kept_w, self._step_w(claim, kept_w)))
        if any(rise > 0.0 for rise in rises):
            self._rise(sign, claims, rises, rooms, measured_w)
        for claim in claims:
            short_w = claim.target_w - claim.power_w
            if short_w > LEAST_W and claim.reason is None:
                claim.reason = RAMP

    def remember(self, evse_id: str, power_w: float) -> None:
        """What a vehicle is told now, signed."""
        self._told[evse_id] = power_w

    def _step_w(self, claim: Claim, kept_w: float) -> float:
        vehicle = claim.vehicle
        rated_w = vehicle.rated_charge_w if claim.service.sign > 0.0 else vehicle.rated_discharge_w
        if self._ramp_pu_s == inf:
            return claim.target_w - kept_w
        ramp_w = self._ramp_pu_s * rated_w * self._elapsed_s if 0.0 < rated_w < inf else 0.0
        # Below its minimum it would do nothing at all.
        return max(ramp_w, claim.minimum_w - kept_w, 0.0)

    def _rise(
        self,
        sign: float,
        claims: Sequence[Claim],
        rises: list[float],
        rooms: Sequence[Room],
        measured_w: Mapping[str, float],
    ) -> None:
        told = {claim.evse_id: claim.power_w for claim in claims}
        rated = {claim.evse_id: claim.vehicle.rated_charge_w for claim in claims}
        excess = {}
        for evse_id, power_w in measured_w.items():
            over_w = sign * power_w - told.get(evse_id, 0.0)
            # What is ignored for long is taken from the rooms already.
            over_w -= max(0.0, sign * self.ignored_w.get(evse_id, 0.0))
            if over_w > _tolerance_w(rated.get(evse_id, 0.0)):
                excess[evse_id] = over_w
        if not excess:
            for claim, rise_w in zip(claims, rises, strict=True):
                claim.power_w += rise_w
            return
        for number, claim in enumerate(claims):
            # What it takes already is no rise.
            own_w = min(rises[number], excess.get(claim.evse_id, 0.0))
            if own_w > 0.0 and claim.power_w + own_w >= claim.floor_w:
                claim.power_w += own_w
                excess[claim.evse_id] -= own_w
                rises[number] -= own_w
        free = []
        for room in rooms:
            taken_w = fsum(
                [room.shares.get(evse_id, 0.0) * over_w for evse_id, over_w in excess.items()]
                + [room.shares.get(claim.evse_id, 0.0) * claim.power_w for claim in claims]
            )
            free.append(replace(room, capacity_w=max(0.0, room.capacity_w - taken_w)))
        limits = room_limits(claims, free)
        for service in {id(claim.service): claim.service for claim in claims}.values():
            if service.wanted_w < inf:
                taken_w = fsum(excess.get(claim.evse_id, 0.0) + claim.power_w for claim in service.claims)
                own = [(i, 1.0) for i, claim in enumerate(claims) if claim.service is service]
                # Its shares are more where somebody has his turn with a minimum.
                amount_w = max(service.wanted_w, service.total_w())
                limits.append(Limit(max(0.0, amount_w - taken_w), own))
        filled = fill(rises, [claim.weight if 0.0 < claim.weight < inf else 1.0 for claim in claims], limits)
        for claim, rise_w, wanted_w in zip(claims, filled.shares, rises, strict=True):
            if wanted_w - rise_w > LEAST_W:
                claim.reason = ROOM
            if claim.power_w + rise_w >= claim.floor_w:
                claim.power_w += rise_w


def _tolerance_w(rated_w: float) -> float:
    return max(TOLERANCE_W, TOLERANCE * rated_w) if rated_w < inf else TOLERANCE_W
