"""Every recorded and reference message about schedules survives as plain values; what does not is named here."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pyiso15118 import exi
from pyiso15118.errors import LocalProtocolError, RemoteProtocolError
from pyiso15118.messages import Namespace
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages import common_types as ct
from pyiso15118.schedules import (
    DynamicSchedule,
    PowerProfile,
    ScheduleNeeds,
    profile_problem,
    tuples_from_message,
    tuples_to_message,
)

NAMES = ("ScheduleExchangeReq", "ScheduleExchangeRes", "PowerDeliveryReq")

SECONDS = "anchored in seconds"
DISCHARGES_POSITIVE = "discharges with positive powers"
REFUSED = {
    "offers to discharge with positive power": "needs.offer.slots[0].power_w is 10000.0",
    "a price for no time": "duration_s is 0, must",
    "a level above their number": "level is 255",
    "full list": "libcbv2g misreads a list that is exactly full",
    "two rules for one power": "two of them have the same power_range_start_w",
}
"""What a peer may send and this side does not: why, and how the refusal reads."""

IMPOSSIBLE = {
    "a number beyond reason": "must be within",
    "a time beyond calendars": "after the year 9999",
    "a negative power to charge with": "is negative",
}


def messages(*paths: Path) -> Iterator[Any]:
    for path in paths:
        with path.open() as lines:
            for line in lines:
                row = json.loads(line)
                namespace = row.get("namespace") or row["payload_type"]
                if namespace not in (Namespace.COMMON_MESSAGES.value, "0x8002") or row.get("fragment"):
                    continue
                name = row.get("message") or next(iter(row["decoded"]))
                if name in NAMES:
                    yield exi.decode(Namespace.COMMON_MESSAGES, bytes.fromhex(row["hex"]))


def parts(message: Any) -> Iterator[tuple[Any, Any, Callable[[Any], Any]]]:
    """The part of a message about schedules, its value and the way back."""
    if isinstance(message, cm.ScheduleExchangeReq) and message.Scheduled_SEReqControlMode is not None:
        yield message.Scheduled_SEReqControlMode, ScheduleNeeds.from_message, ScheduleNeeds.to_message
    if isinstance(message, cm.ScheduleExchangeRes):
        if message.Scheduled_SEResControlMode is not None:
            yield message.Scheduled_SEResControlMode, tuples_from_message, tuples_to_message
        if message.Dynamic_SEResControlMode is not None:
            yield message.Dynamic_SEResControlMode, DynamicSchedule.from_message, DynamicSchedule.to_message
    if isinstance(message, cm.PowerDeliveryReq) and message.EVPowerProfile is not None:
        yield message.EVPowerProfile, PowerProfile.from_message, PowerProfile.to_message


def put_right(tree: Any, reasons: set[str], discharging: bool = False) -> Any:
    """The message as the house sends it, and what had to be changed for that."""
    if isinstance(tree, list):
        return [put_right(item, reasons, discharging) for item in tree]
    if not isinstance(tree, dict):
        return tree
    result = {}
    for name, value in tree.items():
        if name == "TimeAnchor" and 0 < value < 10**11:
            reasons.add(SECONDS)
            result[name] = value * 1_000_000
        elif discharging and name.startswith("Power") and isinstance(value, float) and value > 0:
            reasons.add(DISCHARGES_POSITIVE)
            result[name] = -value
        else:
            result[name] = put_right(value, reasons, discharging or name == "DischargingSchedule")
    return result


def outcomes(found: Iterator[Any], plain: Callable[[Any], Any]) -> Counter[str]:
    seen: Counter[str] = Counter()
    for message in found:
        for part, read, write in parts(message):
            try:
                value = read(part)
            except RemoteProtocolError as error:
                seen[next(why for why, text in IMPOSSIBLE.items() if text in str(error))] += 1
                continue
            try:
                again = write(value)
            except LocalProtocolError as error:
                seen[next(why for why, text in REFUSED.items() if text in str(error))] += 1
                continue
            reasons: set[str] = set()
            assert plain(again) == put_right(plain(part), reasons)
            seen[", ".join(sorted(reasons)) or "the same"] += 1
    return seen


@pytest.fixture
def recordings(shared_data: Path) -> list[Path]:
    data = shared_data / "iso15118"
    return sorted([*(data / "captures").glob("*.jsonl"), *(data / "sessions").glob("*.jsonl")])


def test_every_recorded_message_about_schedules_survives_as_plain_values(
    recordings: list[Path], plain: Callable[[Any], Any]
) -> None:
    assert outcomes(messages(*recordings), plain) == {
        "the same": 77,
        # EVerest's SECC.
        SECONDS: 15,
        # EcoG's SECC, three sessions.
        DISCHARGES_POSITIVE: 3,
        # EcoG's vehicle: read, but nothing this side would send.
        "offers to discharge with positive power": 11,
        "a price for no time": 5,
    }


def test_every_reference_message_about_schedules_survives_or_is_refused_for_a_named_reason(
    shared_data: Path, plain: Callable[[Any], Any]
) -> None:
    data = shared_data / "iso15118"
    seen = outcomes(messages(*sorted(data.glob("vectors*.jsonl"))), plain)
    assert seen["the same"] >= 20
    assert seen["full list"] >= 6
    assert set(seen) <= {"the same", SECONDS, *REFUSED, *IMPOSSIBLE}


def test_every_recorded_plan_keeps_within_its_schedule_but_those_that_were_offered_nothing(
    recordings: list[Path],
) -> None:
    kept, offered_nothing = 0, 0
    for path in recordings:
        tuples = None
        for message in messages(path):
            if isinstance(message, cm.ScheduleExchangeRes) and message.Scheduled_SEResControlMode is not None:
                tuples = tuples_from_message(message.Scheduled_SEResControlMode)
            if not tuples or not isinstance(message, cm.PowerDeliveryReq) or message.EVPowerProfile is None:
                continue
            problem = profile_problem(PowerProfile.from_message(message.EVPowerProfile), tuples)
            if problem is None:
                kept += 1
            else:
                # EVerest's SECC offered 0 W for AC, and the vehicle planned 10 kW all the same.
                assert problem.code is ct.responseCodeType.FAILED_EVPowerProfileInvalid
                assert "10000 W, above the 0 W" in problem.reason
                offered_nothing += 1
    assert (kept, offered_nothing) == (30, 3)
