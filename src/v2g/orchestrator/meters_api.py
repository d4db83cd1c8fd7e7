"""The methods of the control socket about customers' meters: ``meters.list`` and ``meters.day``."""

from __future__ import annotations

import difflib
from typing import Any

from v2g.control.messages import NoParams
from v2g.control.messages_meters import MeterDayParams, MeterDayResult, MeterMinute, MetersResult, MeterStatus
from v2g.control.server import Caller, Method, Refused, Role
from v2g.utility.meter_check import MINUTE_S
from v2g.utility.meter_record import MeterRecord
from v2g.utility.meter_view import MeterLine
from v2g.utility.meters import Meters


class MetersApi:
    """Shows what the control cycle saw last; raises :class:`Refused` for an unknown meter."""

    def __init__(self, meters: Meters) -> None:
        self._meters = meters

    def methods(self) -> tuple[Method[Any], ...]:
        # What a single customer takes tells when he is at home: for those who read his meter anyway, not for all who
        # may look. Viewers have the sum, by status.
        return (
            Method("meters.list", Role.UTILITY, NoParams, self.list, reads=True),
            Method("meters.day", Role.UTILITY, MeterDayParams, self.day, reads=True),
        )

    async def list(self, params: NoParams, caller: Caller) -> MetersResult:
        view, records = self._meters.last, self._meters.records
        return MetersResult(
            meters=tuple(_status(line, records[line.id]) for line in view.lines),
            base_w=view.base_w,
            known_w=view.known_w,
            missing=view.missing,
            notes=view.notes,
        )

    async def day(self, params: MeterDayParams, caller: Caller) -> MeterDayResult:
        record = self._meters.records.get(params.meter)
        if record is None:
            raise Refused(f"there is no meter {params.meter!r}; {self._known(params.meter)}", code="UNKNOWN_METER")
        minutes = (
            MeterMinute(starts_unix_s=int(minute * MINUTE_S), power_w=mean) for minute, mean in record.history.means()
        )
        return MeterDayResult(meter=params.meter, minutes=tuple(minutes))

    def _known(self, wanted: str) -> str:
        names = list(self._meters.records)
        if not names:
            return "none is configured (utility.meters, utility.meter_feed)"
        close = difflib.get_close_matches(wanted, names, 1)
        return f"did you mean {close[0]}?" if close else f"there are {', '.join(names[:8])}; see v2g-tool meters"


def _status(line: MeterLine, record: MeterRecord) -> MeterStatus:
    spec, counts = record.spec, record.counts
    return MeterStatus(
        id=line.id,
        source="feed" if spec.fed else f"SunSpec {spec.where}",
        power_w=line.power_w,
        age_s=line.age_s,
        max_age_s=spec.max_age_s,
        problem=line.problem,
        used=counts.used,
        late=counts.late,
        repeated=counts.repeated,
        refused=counts.refused,
        gaps=counts.gaps,
    )
