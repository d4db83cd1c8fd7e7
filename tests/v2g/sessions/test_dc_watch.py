"""What the devices of a DC EVSE say, and when it ends a session."""

from __future__ import annotations

import pytest

from support.wires import T0, inverter, output
from v2g.hardware.ports import DcEvseCommand, PilotReading, PilotState
from v2g.sessions.dc_watch import DcWatch
from v2g.sessions.watch import PILOT_LOST_S

_CLOSED = DcEvseCommand(close_contactors=True)


def fault(watch: DcWatch, pilot: PilotReading | None, now_s: float = T0) -> str | None:
    evse = output(as_of_s=now_s, pilot=pilot)
    return watch.observe(evse, inverter(as_of_s=now_s), _CLOSED, 0.0, True, now_s).fault


@pytest.mark.parametrize(
    ("pilot", "words"),
    [
        (PilotReading(state=PilotState.E), "state E"),
        (PilotReading(state=PilotState.F), "state F"),
        (PilotReading(state=PilotState.C, earth_ok=False, earth_ohm=5000.0), "protective earth lost (5000 ohm)"),
    ],
)
def test_a_pilot_in_a_fault_state_and_a_lost_earth_are_faults_at_once(pilot: PilotReading, words: str) -> None:
    assert words in (fault(DcWatch(), pilot) or "")


def test_a_pilot_that_is_lost_is_a_fault_after_a_moment() -> None:
    watch = DcWatch()
    assert fault(watch, PilotReading()) is None
    assert fault(watch, PilotReading(), T0 + PILOT_LOST_S) is None
    assert "pilot lost" in (fault(watch, PilotReading(), T0 + PILOT_LOST_S + 0.01) or "")
    assert fault(watch, PilotReading(state=PilotState.C), T0 + 0.6) is None


def test_an_output_stage_without_a_pilot_in_its_map_is_not_judged_by_it() -> None:
    watch = DcWatch()
    assert [fault(watch, None, T0 + second) for second in range(5)] == [None] * 5
