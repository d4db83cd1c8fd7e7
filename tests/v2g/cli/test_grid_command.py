"""``v2g-tool grid``, ``calibrate-pll`` and ``v2g-control permit`` against a control server with canned answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from v2g.control.messages import (
    ElementLine,
    GridAdjustParams,
    GridSettingsResult,
    PermitServiceParams,
    PermitServiceResult,
    PllCalibrateParams,
    PllCalibrateResult,
)
from v2g.control.server import Refused


def settings(**changes: Any) -> GridSettingsResult:
    fields: dict[str, Any] = {
        "profile": "ieee1547-III",
        "standard": "IEEE 1547-2018",
        "verified": True,
        "confirmed": False,
        "nominal_frequency_hz": 60.0,
        "elements": (
            ElementLine(
                element="OV1", quantity="voltage", side="over", threshold=1.1, time_s=5.0, timing="clearing",
                clause="6.4.1, Table 13", threshold_range=(1.1, 1.2), time_range_s=(1.0, 13.0),
            ),
            ElementLine(
                element="f<", quantity="frequency", side="under", threshold=47.5, time_s=0.1, timing="operate",
                clause="5.7.4",
            ),
        ),
        "enter_service": {
            "v_lo_pu": 0.917, "v_hi_pu": 1.05, "f_lo_hz": 59.5, "f_hi_hz": 60.1, "delay_s": 300.0, "ramp_s": 300.0,
            "random_delay_s": 0.0,
        },
        "sync": {"df_hz": 0.3, "dv_pu": 0.1, "dtheta_deg": 20.0},
        "relay": {"setting_pu": 1.1, "delay_s": 0.16, "feedback_path": "/run/v2g/relay", "closed": True},
        "adjusted": ("OV1.time_s 13 -> 5",),
        "remarks": ("the relay is faster than the ride-through asks for",),
        "digest": "0123abcd",
        "in_force": "0123abcd",
        "profiles": ("ieee1547-III", "g99*"),
    }  # fmt: skip
    return GridSettingsResult(**(fields | changes))


async def test_the_settings_are_a_table_with_ranges_clauses_and_remarks(site_daemon: Any) -> None:
    site_daemon.answers["grid.settings"] = settings()
    result = await site_daemon.run("grid", tool_too=True)
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0] == "ieee1547-III (IEEE 1547-2018), verified, 60 Hz: in force"
    assert lines[2].split()[:2] == ["ELEMENT", "TRIPS"]
    assert " ".join(lines[3].split()) == "OV1 voltage over 1.1 pu 5 s clearing 1.1..1.2 1..13 s 6.4.1, Table 13"
    assert " ".join(lines[4].split()) == "f< frequency under 47.5 Hz 0.1 s operate 5.7.4"
    assert "enter service    0.917..1.05 pu, 59.5..60.1 Hz for 300 s, then ramp 300 s" in lines
    assert "synchronisation  0.3 Hz, 0.1 pu, 20 degrees" in lines
    assert "hardware relay   1.1 pu, 0.16 s; closed" in lines
    assert "  OV1.time_s 13 -> 5" in lines
    assert lines[-1] == "  the relay is faster than the ride-through asks for"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"in_force": "ffffffff"}, "NOT IN FORCE: the guard has settings ffffffff, the configuration 0123abcd"),
        ({"in_force": ""}, "NOT IN FORCE: the guard has none, or does not answer"),
        ({"verified": False, "confirmed": True}, "NOT VERIFIED, confirmed"),
        ({"problem": "grid.profile: no profile is named", "elements": ()}, "NO SETTINGS: grid.profile"),
        ({"relay": {"setting_pu": None, "delay_s": 0.16, "closed": None}}, "hardware relay   not stated; no feedback"),
        (
            {"enter_service": {**settings().enter_service, "random_delay_s": 60.0}},
            "for 300 s, then random delay up to 60 s",
        ),
    ],
)
async def test_what_is_not_as_it_should_be_is_said(site_daemon: Any, changes: dict[str, Any], words: str) -> None:
    site_daemon.answers["grid.settings"] = settings(**changes)
    assert words in (await site_daemon.run("grid", tool_too=True)).output


async def test_json_is_the_daemon_s_answer(site_daemon: Any) -> None:
    site_daemon.answers["grid.settings"] = settings()
    told = json.loads((await site_daemon.run("grid --json", tool_too=True)).output)
    assert (told["digest"], told["elements"][0]["element"]) == ("0123abcd", "OV1")
    assert json.loads((await site_daemon.run("grid profiles --json", tool_too=True)).output) == ["ieee1547-III", "g99*"]


async def test_the_profiles_are_listed_with_the_chosen_and_the_unverified_marked(site_daemon: Any) -> None:
    site_daemon.answers["grid.settings"] = settings()
    lines = (await site_daemon.run("grid profiles", tool_too=True)).output.splitlines()
    assert lines[:2] == ["> ieee1547-III", "  g99*"]


@pytest.mark.parametrize(
    ("command", "changes", "confirmed"),
    [
        (
            "grid set OV1.time_s=5 enter_service.delay_s=60 alarm_window_hz=0.4 trips.UF2.threshold=56.8",
            {
                "trips.OV1.time_s": 5.0,
                "enter_service.delay_s": 60.0,
                "alarm_window_hz": 0.4,
                "trips.UF2.threshold": 56.8,
            },
            False,
        ),
        ("grid set category=II", {"category": "II"}, False),
        (
            "grid unset OV1.time_s enter_service.delay_s",
            {"trips.OV1.time_s": None, "enter_service.delay_s": None},
            False,
        ),
        ("grid profile ieee1547-II", {"profile": "ieee1547-II"}, False),
        ("grid profile g99 --confirm-unverified", {"profile": "g99"}, True),
    ],
)
async def test_adjustments_are_sent_by_path(site_daemon: Any, command: str, changes: Any, confirmed: bool) -> None:
    site_daemon.answers["grid.adjust"] = settings()
    result = await site_daemon.run(command, tool_too=True)
    assert result.exit_code == 0
    assert site_daemon.received == [GridAdjustParams(changes=changes, confirm_unverified=confirmed)]
    assert "in force" in result.output


async def test_an_adjusted_element_is_shown_as_it_is_now(site_daemon: Any) -> None:
    site_daemon.answers["grid.adjust"] = settings()
    output = (await site_daemon.run("grid set OV1.time_s=5", tool_too=True)).output
    assert "  OV1: over 1.1 pu trips in 5 s (6.4.1, Table 13)" in output
    assert "f<" not in output


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("grid set OV1.time_s", "write SETTING=VALUE"),
        ("grid set OV1.time_s=soon", "'soon' is no number"),
        ("grid set OV1.time_s=inf", "'inf' is no number"),
        ("grid set profile=g99", "v2g-tool grid profile NAME"),
        ("grid set", "Missing argument"),
        ("grid profile", "Missing argument"),
    ],
)
async def test_a_command_that_makes_no_sense_is_a_usage_error(site_daemon: Any, command: str, words: str) -> None:
    result = await site_daemon.run(command, tool_too=True)
    assert result.exit_code == 2
    assert words in result.output
    assert site_daemon.received == []


async def test_a_refusal_is_quoted_and_ends_with_one(site_daemon: Any) -> None:
    site_daemon.answers["grid.adjust"] = Refused("OV1.time_s 50 is outside 1..13 s", code="SETTINGS_REFUSED")
    result = await site_daemon.run("grid set OV1.time_s=50", tool_too=True)
    assert result.exit_code == 1
    assert "outside 1..13 s" in result.output
    told = await site_daemon.run("grid set OV1.time_s=50 --json", tool_too=True)
    assert '"SETTINGS_REFUSED"' in told.output


@pytest.mark.parametrize("verb", ["--calibrate-pll", "calibrate-pll"])
async def test_a_calibration_shows_measured_written_and_left(site_daemon: Any, verb: str) -> None:
    site_daemon.answers["pll.calibrate"] = PllCalibrateResult(
        measured_deg=(7.004, 6.99, 7.0),
        offset_deg=(7.0, 6.99, 7.0),
        residual_deg=(0.01, -0.02, 0.0),
        file="/etc/v2g/conf.d/80-calibration.yaml",
    )
    result = await site_daemon.run(f"{verb} --evse US*V2G*E1 --acknowledge Eva", tool_too=True)
    assert result.exit_code == 0
    assert site_daemon.received == [PllCalibrateParams(evse_id="US*V2G*E1", acknowledge="Eva")]
    lines = result.output.splitlines()
    assert lines[1].split() == ["a", "+7.00°", "+7.00°", "+0.01°"]
    assert "/etc/v2g/conf.d/80-calibration.yaml" in lines[-1]


async def test_a_calibration_that_is_refused_ends_with_one(site_daemon: Any) -> None:
    site_daemon.answers["pll.calibrate"] = Refused("power flows at US*V2G*E1", code="POWER_FLOWS")
    result = await site_daemon.run("calibrate-pll --acknowledge Eva", tool_too=True)
    assert result.exit_code == 1
    assert "power flows at US*V2G*E1" in result.output


@pytest.mark.parametrize(("word", "enabled"), [("on", True), ("off", False), ("OFF", False)])
async def test_permit_is_given_and_withdrawn(site_daemon: Any, word: str, enabled: bool) -> None:
    site_daemon.answers["permit.service"] = PermitServiceResult(enabled=enabled)
    result = await site_daemon.run(f"permit {word} --yes")
    assert result.exit_code == 0
    assert site_daemon.received == [PermitServiceParams(enabled=enabled)]
    assert f"permit service is {'on' if enabled else 'off'}" in result.output


async def test_a_trip_that_is_not_reset_tells_why(site_daemon: Any) -> None:
    site_daemon.answers["trip.reset"] = Refused("the grid is outside the enter-service window", code="TRIP_NOT_RESET")
    result = await site_daemon.run("trip reset --yes")
    assert result.exit_code == 1
    assert "outside the enter-service window" in result.output
