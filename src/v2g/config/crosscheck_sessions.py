"""What contradicts itself in the section ``sessions``."""

from __future__ import annotations

from v2g.config.problems import Report
from v2g.config.schema import Config


def check_sessions(config: Config, report: Report) -> None:
    """Every contradiction, into ``report``."""
    known = [evse.id for evse in config.evses]
    for position, evse_id in enumerate(config.sessions.never_pause):
        if evse_id not in known:
            report.add(
                f"sessions.never_pause[{position}]",
                evse_id,
                "is no EVSE of this site",
                f"write one of {', '.join(known[:4])}{' ...' if len(known) > 4 else ''}, or leave it out",
            )
