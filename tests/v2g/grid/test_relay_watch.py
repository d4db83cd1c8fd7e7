from __future__ import annotations

import pytest

from v2g.grid.relay_watch import GRACE_S, RelayWatch
from v2g.grid.verdict import Block, GridEvent, RelaySettings

GOOD = RelaySettings(setting_pu=1.10, delay_s=0.16, feedback=True)


@pytest.mark.parametrize(
    ("settings", "closed", "blocks"),
    [
        (GOOD, True, Block.NONE),
        (RelaySettings(setting_pu=1.101, feedback=True), True, Block.RELAY_SETTING),
        (RelaySettings(setting_pu=None, feedback=True), True, Block.RELAY_SETTING),
        (RelaySettings(setting_pu=1.10, feedback=False), True, Block.RELAY_FEEDBACK),
        (GOOD, None, Block.RELAY_FEEDBACK),
        (RelaySettings(), None, Block.RELAY_SETTING | Block.RELAY_FEEDBACK),
        (GOOD, False, Block.NONE),
    ],
)
def test_discharge_is_refused_for_setting_and_feedback(
    settings: RelaySettings, closed: bool | None, blocks: Block
) -> None:
    assert RelayWatch(settings).step(0.0, 1.0, closed, []) == blocks


def test_a_relay_that_does_not_open_in_time_has_failed() -> None:
    watch, events = RelayWatch(GOOD), list[GridEvent]()
    assert watch.step(0.0, 1.11, True, events) is Block.NONE
    assert watch.step(0.16 + GRACE_S, 1.11, True, events) is Block.NONE
    assert watch.step(0.17 + GRACE_S, 1.11, True, events) is Block.RELAY_FAILED
    assert watch.step(10.0, 1.0, True, events) is Block.RELAY_FAILED
    (failed,) = events
    assert (failed.level, failed.code) == ("error", "RELAY_FAILED")
    assert "1.1 p.u. for its delay of 0.16 s and it has not opened" in failed.message


def test_a_relay_seen_open_has_not_failed() -> None:
    watch = RelayWatch(GOOD)
    watch.step(0.0, 1.2, True, [])
    assert watch.step(1.0, 1.2, True, []) is Block.RELAY_FAILED
    assert watch.step(1.1, 1.2, False, []) is Block.NONE
    assert watch.is_open


@pytest.mark.parametrize("back_pu", [1.10, None])
def test_the_voltage_must_exceed_the_setting_without_a_break(back_pu: float | None) -> None:
    watch = RelayWatch(GOOD)
    watch.step(0.0, 1.2, True, [])
    watch.step(0.2, back_pu, True, [])
    watch.step(0.21, 1.2, True, [])
    assert watch.step(0.4, 1.2, True, []) is Block.NONE


def test_a_feedback_that_comes_back_too_late_convicts() -> None:
    watch = RelayWatch(GOOD)
    watch.step(0.0, 1.2, None, [])
    assert watch.step(1.0, 1.2, None, []) is Block.RELAY_FEEDBACK
    assert watch.step(1.1, 1.2, True, []) is Block.RELAY_FAILED


def test_a_test_proves_it() -> None:
    watch = RelayWatch(GOOD)
    watch.step(0.0, 1.2, True, [])
    watch.step(1.0, 1.2, True, [])
    watch.proved()
    assert watch.step(1.1, 1.0, True, []) is Block.NONE


def test_without_feedback_it_is_never_said_to_be_open() -> None:
    watch = RelayWatch(RelaySettings(setting_pu=1.1))
    watch.step(0.0, 1.0, False, [])
    assert not watch.is_open


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (RelaySettings(feedback=True), "read it at the relay and set relay.setting_pu"),
        (RelaySettings(setting_pu=1.2, feedback=True), "relay.setting_pu 1.2 is above 1.1"),
        (RelaySettings(setting_pu=1.1), "wire its contact and set relay.feedback_path"),
    ],
)
def test_the_log_says_why_and_what_to_do(settings: RelaySettings, words: str) -> None:
    events: list[GridEvent] = []
    RelayWatch(settings).step(0.0, 1.0, True if settings.feedback else None, events)
    (event,) = events
    assert event.message.startswith("discharge is refused: ")
    assert words in event.message


def test_opening_and_closing_are_told_and_a_chattering_feedback_fills_no_log() -> None:
    watch, events = RelayWatch(GOOD), list[GridEvent]()
    watch.step(0.0, 1.0, True, events)
    watch.step(1.0, 1.0, False, events)
    watch.step(2.5, 1.0, True, events)
    assert [event.code for event in events] == ["RELAY_OPEN", "RELAY_CLOSED"]
    events.clear()
    for tick in range(1000):
        watch.step(3.6 + tick * 0.01, 1.0, None if tick % 2 else True, events)
    assert len(events) <= 12
