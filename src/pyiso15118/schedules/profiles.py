"""Whether a vehicle's plan keeps within the schedule it chose, and whether its power keeps to the plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyiso15118.messages import common_types as ct
from pyiso15118.schedules.offers import ScheduleTuple
from pyiso15118.schedules.power import PowerProfile


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileProblem:
    """What is wrong and the code that says so: FAILED_ScheduleSelectionInvalid, FAILED_EVPowerProfileInvalid (both end
    the session) or WARNING_EVPowerProfileViolation."""

    code: ct.responseCodeType
    reason: str


def profile_problem(
    profile: PowerProfile, tuples: Sequence[ScheduleTuple], *, slack_s: int = 60
) -> ProfileProblem | None:
    """For PowerDeliveryReq(Start)."""
    raise NotImplementedError


def power_problem(
    power_w: float, unix_s: float, profile: PowerProfile, tuples: Sequence[ScheduleTuple], *, margin_w: float
) -> ProfileProblem | None:
    """For the charge loop: the power measured against profile, tolerance and schedule."""
    raise NotImplementedError


def tolerance_code(profile: PowerProfile) -> ct.responseCodeType:
    """OK, OK_PowerToleranceConfirmed or WARNING_PowerToleranceNotConfirmed for PowerDeliveryRes(Start)."""
    raise NotImplementedError
