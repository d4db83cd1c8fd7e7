"""Slots of power in time, and what of them can be sent and read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pyiso15118.errors import LocalProtocolError, RemoteProtocolError
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages import common_types as ct
from pyiso15118.schedules import PowerProfile, PowerSchedule, PowerSlot

START = 1_800_000_000
SCHEDULE = PowerSchedule(
    starts_at_unix_s=START,
    slots=(
        PowerSlot(duration_s=600, power_w=11_000.0),
        PowerSlot(duration_s=0, power_w=5.0),
        PowerSlot(duration_s=300, power_w=1_000.0, power_l2_w=2_000.0, power_l3_w=3_000.0),
    ),
)


@pytest.mark.parametrize(
    ("after_s", "powers"),
    [
        (-0.1, None),
        (0, (11_000.0, None, None)),
        (599.9, (11_000.0, None, None)),
        (600, (1_000.0, 2_000.0, 3_000.0)),
        (899, (1_000.0, 2_000.0, 3_000.0)),
        (900, None),
    ],
)
def test_the_power_at_a_time_is_that_of_the_slot_that_applies(after_s: float, powers: Any) -> None:
    assert SCHEDULE.power_at(START + after_s) == powers
    profile = PowerProfile(starts_at_unix_s=SCHEDULE.starts_at_unix_s, slots=SCHEDULE.slots)
    assert profile.power_at(START + after_s) == powers


def test_durations_add_up() -> None:
    assert SCHEDULE.duration_s == 900
    assert SCHEDULE.ends_at_unix_s == START + 900
    assert [slot.total_w for slot in SCHEDULE.slots] == [11_000.0, 5.0, 6_000.0]


def schedule(**changes: Any) -> PowerSchedule:
    return replace(PowerSchedule(starts_at_unix_s=START, slots=(PowerSlot(duration_s=60, power_w=1.0),)), **changes)


def slots(**changes: Any) -> PowerSchedule:
    return schedule(
        slots=(PowerSlot(duration_s=60, power_w=1.0), replace(PowerSlot(duration_s=60, power_w=1.0), **changes))
    )


def test_times_are_sent_in_microseconds_and_numbers_as_they_are() -> None:
    message = schedule(available_energy_wh=55_500.0, tolerance_w=1_500.0).to_message()
    assert message == cm.PowerScheduleType(
        TimeAnchor=1_800_000_000_000_000,
        AvailableEnergy=ct.RationalNumberType(Exponent=1, Value=5550),
        PowerTolerance=ct.RationalNumberType(Exponent=0, Value=1500),
        PowerScheduleEntries=cm.PowerScheduleEntryListType(
            PowerScheduleEntry=[
                cm.PowerScheduleEntryType(Duration=60, Power=ct.RationalNumberType(Exponent=0, Value=1))
            ]
        ),
    )


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (schedule(slots=()), "power.slots has 0 entries, must have 1..1023"),
        (schedule(slots=(PowerSlot(duration_s=1, power_w=0.0),) * 1024), "power.slots has 1024 entries"),
        (schedule(slots=None), "power.slots is None"),
        (slots(duration_s=0), r"power.slots\[1\].duration_s is 0"),
        (slots(duration_s=2**32), r"power.slots\[1\].duration_s is 4294967296"),
        (slots(duration_s=1.5), r"power.slots\[1\].duration_s is 1.5"),
        (slots(duration_s=True), r"power.slots\[1\].duration_s is True"),
        (slots(power_w=1.1e9), r"power.slots\[1\].power_w is 1100000000.0"),
        (slots(power_w=float("nan")), r"power.slots\[1\].power_w is nan"),
        (slots(power_w=float("inf")), r"power.slots\[1\].power_w is inf"),
        (slots(power_w=10**400), r"power.slots\[1\].power_w is 1000"),
        (slots(power_w="7 kW"), r"power.slots\[1\].power_w is '7 kW'"),
        (slots(power_w=None), r"power.slots\[1\].power_w is None"),
        (slots(power_l2_w=-2e9), r"power.slots\[1\].power_l2_w is -2000000000.0"),
        (slots(power_l3_w=True), r"power.slots\[1\].power_l3_w is True"),
        (schedule(starts_at_unix_s=-1), "power.starts_at_unix_s is -1"),
        (schedule(starts_at_unix_s=1.0), "power.starts_at_unix_s is 1.0"),
        (schedule(starts_at_unix_s=253_402_300_799), "the durations end after the year 9999"),
        (schedule(available_energy_wh=0.0), "power.available_energy_wh is 0.0"),
        (schedule(tolerance_w=-5.0), "power.tolerance_w is -5.0"),
    ],
)
def test_what_no_schedule_can_be_is_refused_by_name(value: PowerSchedule, named: str) -> None:
    with pytest.raises(LocalProtocolError, match=named):
        value.to_message()


def entry(
    duration_s: int = 60, power: tuple[int, int] = (0, 100), **more: tuple[int, int]
) -> cm.PowerScheduleEntryType:
    rationals = {name: ct.RationalNumberType(Exponent=e, Value=v) for name, (e, v) in {"Power": power, **more}.items()}
    return cm.PowerScheduleEntryType(Duration=duration_s, **rationals)


def received(
    *entries: cm.PowerScheduleEntryType, anchor: int = 0, **more: ct.RationalNumberType
) -> cm.PowerScheduleType:
    return cm.PowerScheduleType(
        TimeAnchor=anchor, PowerScheduleEntries=cm.PowerScheduleEntryListType(PowerScheduleEntry=list(entries)), **more
    )


@pytest.mark.parametrize(
    ("anchor", "unix_s"),
    [
        (0, 0),
        (1_785_726_440, 1_785_726_440),
        (1_761_474_993_000_000, 1_761_474_993),
        (1_761_474_993_999_999, 1_761_474_993),
        (99_999_999_999, 99_999_999_999),
        (100_000_000_000, 100_000),
    ],
)
def test_a_time_anchor_is_read_in_microseconds_or_seconds_by_its_size(anchor: int, unix_s: int) -> None:
    assert PowerSchedule.from_message(received(entry(), anchor=anchor)).starts_at_unix_s == unix_s


@pytest.mark.parametrize(
    ("message", "named"),
    [
        (received(), "PowerSchedule is empty"),
        (received(entry(), entry(power=(6, 1001))), r"PowerSchedule\[1\]/Power is 1.001e\+09"),
        (received(entry(power=(127, -32768))), r"PowerSchedule\[0\]/Power is -3.2768e\+131"),
        (received(entry(Power_L2=(6, 1001))), r"PowerSchedule\[0\]/Power_L2 is"),
        (received(entry(Power_L3=(6, -1001))), r"PowerSchedule\[0\]/Power_L3 is"),
        (received(entry(), anchor=2**64 - 1), "PowerSchedule/TimeAnchor is 18446744073709551615"),
        (received(*[entry(2**32 - 1)] * 100), "its durations end after the year 9999"),
        (
            received(entry(), AvailableEnergy=ct.RationalNumberType(Exponent=0, Value=-1)),
            "PowerSchedule/AvailableEnergy is -1",
        ),
        (
            received(entry(), PowerTolerance=ct.RationalNumberType(Exponent=9, Value=2)),
            r"PowerSchedule/PowerTolerance is 2e\+09",
        ),
    ],
)
def test_what_no_peer_can_mean_is_a_remote_protocol_error(message: cm.PowerScheduleType, named: str) -> None:
    with pytest.raises(RemoteProtocolError, match=named):
        PowerSchedule.from_message(message)


def test_slots_of_no_length_and_full_lists_are_read() -> None:
    assert PowerSchedule.from_message(received(*[entry(0)] * 1024)).duration_s == 0


def test_a_profile_beyond_reason_says_which_code_to_answer() -> None:
    message = cm.EVPowerProfileType(
        TimeAnchor=0,
        Dynamic_EVPPTControlMode=cm.Dynamic_EVPPTControlModeType(),
        EVPowerProfileEntries=cm.EVPowerProfileEntryListType(EVPowerProfileEntry=[entry(power=(9, 2))]),
    )
    with pytest.raises(RemoteProtocolError, match="EVPowerProfile") as caught:
        PowerProfile.from_message(message)
    assert caught.value.response_code == "FAILED_EVPowerProfileInvalid"


def profile(**changes: Any) -> PowerProfile:
    plan = PowerProfile(starts_at_unix_s=0, slots=(PowerSlot(duration_s=60, power_w=-1.0),))
    return replace(plan, **changes)


@pytest.mark.parametrize(
    ("tolerance_accepted", "sent"),
    [
        (None, None),
        (True, cm.powerToleranceAcceptanceType.PowerToleranceConfirmed),
        (False, cm.powerToleranceAcceptanceType.PowerToleranceNotConfirmed),
    ],
)
def test_a_profile_of_scheduled_mode_names_its_tuple_and_accepts_or_declines_the_tolerance(
    tolerance_accepted: bool | None, sent: Any
) -> None:
    mode = profile(selected_tuple_id=7, tolerance_accepted=tolerance_accepted).to_message().Scheduled_EVPPTControlMode
    assert mode == cm.Scheduled_EVPPTControlModeType(SelectedScheduleTupleID=7, PowerToleranceAcceptance=sent)


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (profile(selected_tuple_id=0), "profile.selected_tuple_id is 0"),
        (profile(selected_tuple_id=1, tolerance_accepted="yes"), "profile.tolerance_accepted is 'yes'"),
        (profile(tolerance_accepted=True), "profile.tolerance_accepted is set without selected_tuple_id"),
        (profile(slots=(PowerSlot(duration_s=1, power_w=0.0),) * 2048), "profile.slots has 2048 entries"),
    ],
)
def test_what_no_profile_can_be_is_refused_by_name(value: PowerProfile, named: str) -> None:
    with pytest.raises(LocalProtocolError, match=named):
        value.to_message()
