"""How quickly vehicles and the backhaul answer, as ``v2g-tool status`` shows it."""

from __future__ import annotations

import msgspec
import pytest

from support.status_example import example_status
from v2g.cli.render import tool_status_text
from v2g.cli.render_timing import timing_parts
from v2g.control.messages import StatusResult
from v2g.control.messages_timing import BackhaulLine, TimingLine

TIMING = TimingLine(
    turns=4200, turnaround_median_s=0.2, turnaround_p99_s=0.231, turnaround_worst_s=0.4, slow=7, rtt_s=0.0042,
    retransmits=3,
)  # fmt: skip


def status(timing: TimingLine | None = None, backhaul: BackhaulLine | None = None) -> StatusResult:
    base = example_status()
    evse = base.evses[0]
    assert evse.session is not None
    session = msgspec.structs.replace(evse.session, timing=timing)
    evses = (msgspec.structs.replace(evse, session=session), *base.evses[1:])
    return msgspec.structs.replace(base, evses=evses, backhaul=backhaul, heartbeat="flashing")


def test_each_session_has_its_turnaround_and_its_round_trip() -> None:
    text = tool_status_text(status(TIMING))
    row = next(line for line in text.splitlines() if line.startswith("US*V2G*E1") and "4200" in line)
    assert [cell.strip() for cell in row.split("  ") if cell.strip()] == [
        "US*V2G*E1", "200 ms", "231 ms", "7 of 4200", "4.2 ms", "3",
    ]  # fmt: skip


def test_what_is_not_known_is_a_question_mark() -> None:
    text = "\n".join(timing_parts(status(TimingLine(turns=0))))
    assert text.splitlines()[-1].split() == ["US*V2G*E1", "?", "?", "0", "of", "0", "?", "?"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "gw:443: 10 % of the last minute's probes lost, round trip 12.0 ms; heartbeat flashing"),
        ({"loss": None}, "gw:443: too few probes yet"),
        ({"problem": "no such name"}, "gw:443: no such name"),
    ],
)
def test_the_backhaul_is_told_where_it_is_probed(changes: dict[str, object], words: str) -> None:
    line = BackhaulLine(target="gw:443", loss=0.1, round_trip_s=0.012, probes=30, lost=3)
    assert words in "\n".join(timing_parts(status(None, msgspec.structs.replace(line, **changes))))


def test_without_either_nothing_is_added() -> None:
    assert timing_parts(status()) == []
