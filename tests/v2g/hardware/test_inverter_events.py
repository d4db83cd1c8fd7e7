"""Two readings make events."""

from __future__ import annotations

from v2g.hardware.inverter_events import AlarmGone, AlarmRaised, StateChanged, events
from v2g.hardware.ports import InverterReading


def reading(state: str, *alarms: str) -> InverterReading:
    return InverterReading(evse_id="E", as_of_s=0.0, power_w=0.0, state=state, alarms=alarms)


def test_changes_are_events_and_what_stays_is_none() -> None:
    before = reading("RUNNING", "OVER_TEMP", "BIT20")
    assert events(None, before) == (StateChanged("", "RUNNING"), AlarmRaised("OVER_TEMP"), AlarmRaised("BIT20"))
    assert events(before, before) == ()
    after = reading("FAULT", "BIT20", "GROUND_FAULT")
    told = (StateChanged("RUNNING", "FAULT"), AlarmRaised("GROUND_FAULT"), AlarmGone("OVER_TEMP"))
    assert events(before, after) == told
    assert events(after, reading("", "BIT20", "GROUND_FAULT")) == ()
