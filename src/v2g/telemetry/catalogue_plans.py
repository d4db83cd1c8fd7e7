"""Catalogue: the plan of the coming day, schedules that vehicles are offered, and orders across a restart."""

from __future__ import annotations

from v2g.telemetry.catalogue_entry import NOTHING, Entry

_PLAN = "v2g-control plan shows the plan that stands, and why there is none."

PLANS: tuple[Entry, ...] = (
    Entry(
        "NO_PLAN",
        "No new plan of the coming day was made; the line says why.",
        "Goes by the last plan while it is good, then by urgency and dispatch.peak_shaving_pu, and tries again.",
        "As the line says: install highspy, raise dispatch.planning.deadline_s, or mend what is not measured. " + _PLAN,
    ),
    Entry("PLAN_AGAIN", "There is a plan of the coming day again.", "Goes by it.", NOTHING),
    Entry(
        "SCHEDULE_OFFERED",
        "A vehicle in scheduled mode was offered a schedule, by the plan or flat where there is none.",
        "Holds the vehicle to its share in the charge loop, whatever the schedule says.",
        NOTHING,
        "ISO 15118-20",
    ),
    Entry(
        "RENEGOTIATION_ASKED",
        "A vehicle's schedule is not what the site can offer it any more, and it was asked to negotiate.",
        "Waits a minute for it; its old schedule stands meanwhile.",
        NOTHING,
        "ISO 15118-20",
    ),
    Entry(
        "RENEGOTIATION_IGNORED",
        "A vehicle that was asked for a new schedule did not come for it.",
        "Leaves it its old one, within its share; asks again when the difference lasts.",
        "Nothing; where it never comes, its maker may want to know.",
        "ISO 15118-20",
    ),
    Entry(
        "LIMIT_IGNORED",
        "A vehicle takes or gives more than it was granted.",
        "Counts what is measured, which the other vehicles get less of; the guard isolates one that goes on.",
        "Compare its meter with another one; tell the vehicle's maker.",
    ),
    Entry(
        "ORDERS_RESTORED",
        "Orders from before a restart stand again, until the ends that they were given.",
        "Carries them out.",
        "v2g-control orders shows them.",
    ),
    Entry(
        "ORDERS_DROPPED",
        "Orders from before a restart cannot be read, or were given after what the clock shows now.",
        "Goes on without them.",
        "Put the clock right (timedatectl) and give them again.",
    ),
    Entry(
        "ORDERS_NOT_KEPT",
        "The file of the orders cannot be written.",
        "Carries the orders out, and would forget them with a restart.",
        "Free the disk, or correct the rights of the state directory.",
    ),
)
