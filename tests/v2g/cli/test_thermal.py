"""``v2g-tool thermal`` against a control server with canned answers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from v2g.cli import tool
from v2g.cli.render_thermal import thermal_text
from v2g.control.messages import RegimeParams, RegimeResult, ThermalResult, ThermalSensorLine
from v2g.control.server import Refused


def answer(**changes: Any) -> ThermalResult:
    fields: dict[str, Any] = {
        "transformer": "TR-0412", "rated_va": 250e3, "horizon_s": 900.0, "top_oil_c": 81.5, "hot_spot_c": 97.3,
        "ambient_c": 31.0, "k_pu": 0.86, "load_w": 210e3, "base_load_w": 220e3, "ahead_top_oil_c": 84.0,
        "ahead_hot_spot_c": 103.0, "ahead_base_w": 228e3, "ahead_base_margin_w": 9e3, "margin_k": 0.4,
        "hot_spot_margin_k": 2.6, "bias_k": -0.7,
        "gradient_factor": 1.0, "load_loss_factor": 1.04, "f_hl": 1.4, "lo_w": -120e3, "hi_w": 40e3,
        "lo_source": "thermal K", "hi_source": "thermal hot-spot", "lo_binds_in_s": 60.0, "hi_binds_in_s": 900.0,
        "lo_granted_in_s": None, "hi_granted_in_s": None, "base_source": None, "feasible": True,
        "regime": "normal_cyclic", "regime_left_s": None, "regime_by": "", "hot_spot_limit_c": 120.0,
        "hot_spot_limit_source": "thermal hot-spot", "top_oil_limit_c": 105.0, "k_limit_pu": 1.5,
        "k_limit_source": "thermal K", "upgraded_paper": False, "ageing_rate": 0.916, "ageing_today_h": 3.0,
        "ageing_total_h": 1800.0, "ageing_counted_h": 9000.0, "ageing_budget_h_per_day": None, "life_used_pct": 1.0,
        "sensors": (
            ThermalSensorLine(name="top_oil_c", health="ok", value_c=81.5, read_c=81.5, since_s=7200.0),
            ThermalSensorLine(
                name="ambient_c", health="lost", value_c=None, read_c=None, since_s=300.0, words="check its link"
            ),
        ),
        "history_rows": 1440, "history_bytes": 2_100_000,
    }  # fmt: skip
    return ThermalResult(**(fields | changes))


def lines_of(**changes: Any) -> list[str]:
    return [" ".join(line.split()) for line in thermal_text(answer(**changes)).splitlines()]


async def test_the_picture_names_now_ahead_limits_headroom_sensors_and_life(site_daemon: Any) -> None:
    site_daemon.answers["thermal"] = answer()
    result = await site_daemon.run("thermal", tool_too=True)
    assert result.exit_code == 0
    lines = [" ".join(line.split()) for line in result.output.splitlines()]
    for expected in (
        "TR-0412, 250 kVA · normal cyclic loading",
        "NOW IN 15 MIN LIMIT",
        "hot spot 97.3 °C 103.0 °C 120.0 °C",
        "top oil 81.5 °C 84.0 °C 105.0 °C",
        "load 210.00 kW, K = 0.86 375.00 kVA, K = 1.5",
        "base load 220.00 kW 228.00 kW ± 9.00 kW",
        "discharge up to 120.00 kW: bound by thermal K, which more would reach in 1 min",
        "charge up to 40.00 kW: bound by thermal hot-spot, which more would reach in 15 min",
        "top oil ok 81.5 °C 81.5 °C 2 h 0 min",
        "ambient LOST no ? 5 min",
        "check its link",
        "now 0.916 times rated ageing, non-upgraded paper",
        "today 3.00 h",
        "in all 1800.0 h in the 9000 h that were counted: 1 % of the insulation's life",
        "top oil 0.7 K cooler than the nameplate says",
        "history written; 1440 rows since the start, 2.1 MB",
    ):
        assert expected in lines


async def test_the_manual_s_two_dashes_are_understood(site_daemon: Any) -> None:
    site_daemon.answers["thermal"] = answer()
    assert (await site_daemon.run("––thermal", tool_too=True)).output.startswith("TR-0412")


async def test_json_is_the_daemon_s_answer(site_daemon: Any) -> None:
    site_daemon.answers["thermal"] = answer()
    result = await site_daemon.run("thermal --json", tool_too=True)
    told = json.loads(result.output)
    assert (told["lo_w"], told["hi_source"], told["sensors"][1]["health"]) == (-120e3, "thermal hot-spot", "lost")


def test_no_power_has_a_sign_even_under_reverse_flow() -> None:
    text = thermal_text(answer(load_w=-310e3, base_load_w=-300e3, ahead_base_w=-310e3, hi_w=300e3))
    assert "310.00 kW in reverse, K = 0.86" in text
    assert re.search(r"[-−]\s?\d", text.replace("TR-0412", "")) is None


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"lo_w": 0.0, "lo_source": "thermal top-oil", "lo_granted_in_s": 1500.0},
            "no discharge: thermal top-oil; may be granted in about 25 min",
        ),
        ({"hi_w": 0.0}, "no charge: thermal hot-spot"),
        (
            {"hi_source": "thermal hot-spot, held"},
            "charge up to 40.00 kW: narrowed by thermal hot-spot, and widens slowly",
        ),
        (
            {"base_source": "thermal hot-spot", "feasible": False},
            "base load alone reaches a limit within the horizon (thermal hot-spot): what adds to it is refused, "
            "what relieves it is permitted, and no V2G power keeps all limits",
        ),
        (
            {"regime": "long_time_emergency", "regime_left_s": 14_340.0, "regime_by": "anna"},
            "TR-0412, 250 kVA · long-time emergency loading for 3 h 59 min more, authorised by anna",
        ),
        (
            {"hot_spot_limit_c": 98.0, "hot_spot_limit_source": "thermal ageing budget"},
            "hot spot 97.3 °C 103.0 °C 98.0 °C (thermal ageing budget)",
        ),
        ({"ageing_budget_h_per_day": 24.0}, "today 3.00 h of 24 h (12 %)"),
        (
            {"history_problem": "the disk is full; make room", "history_dropped": 7},
            "history NOT WRITTEN: the disk is full; make room; 1440 rows since the start, 7 dropped, 2.1 MB",
        ),
        ({"notes": ("no ambient temperature",)}, "no ambient temperature"),
        ({"bias_k": 1.25}, "top oil 1.2 K hotter than the nameplate says"),
        ({"bias_k": 0.01}, "top oil as the nameplate says"),
    ],
)
def test_what_is_unusual_is_said(changes: dict[str, Any], line: str) -> None:
    assert line in lines_of(**changes)


def test_what_is_unknown_is_a_question_mark_and_no_zero() -> None:
    unknown = dict.fromkeys(
        ("top_oil_c", "hot_spot_c", "ambient_c", "k_pu", "load_w", "base_load_w", "ahead_top_oil_c", "ahead_hot_spot_c",
         "ahead_base_w", "ahead_base_margin_w", "hot_spot_limit_c", "top_oil_limit_c", "k_limit_pu", "ageing_rate",
         "lo_binds_in_s")
    )  # fmt: skip
    lines = lines_of(**unknown)
    assert "hot spot ? ? ?" in lines
    assert "load ? ?" in lines
    assert "base load ? ?" in lines
    assert "discharge up to 120.00 kW: bound by thermal K" in lines
    assert "now ? times rated ageing, non-upgraded paper" in lines


@pytest.mark.parametrize("form", ["long_time_emergency", "--set long_time_emergency", "--set=LONG_TIME_EMERGENCY"])
async def test_an_engineer_authorises_an_emergency(site_daemon: Any, form: str) -> None:
    site_daemon.answers["thermal.regime"] = RegimeResult(
        regime="long_time_emergency", left_s=14_400.0, hot_spot_limit_c=140.0, top_oil_limit_c=115.0, k_limit_pu=1.8
    )
    result = await site_daemon.run(f"thermal regime {form} --for 4h --reason T2-out", tool_too=True)
    assert result.exit_code == 0
    assert site_daemon.received == [RegimeParams(regime="long_time_emergency", duration_s=14_400.0, reason="T2-out")]
    assert result.output == (
        "long-time emergency loading for 4 h 0 min more: hot spot 140 °C, top oil 115 °C, K = 1.8; led "
        "back to the normal limits before it ends\n"
    )


async def test_what_keeps_an_emergency_from_helping_is_told(site_daemon: Any) -> None:
    site_daemon.answers["thermal.regime"] = RegimeResult(
        regime="long_time_emergency",
        left_s=1_209_600.0,
        hot_spot_limit_c=140.0,
        top_oil_limit_c=115.0,
        k_limit_pu=1.0,
        k_limit_source="thermal K at the guard's rated current",
    )
    result = await site_daemon.run("thermal regime long_time_emergency --for 14d --reason T2-out", tool_too=True)
    assert site_daemon.received[0].duration_s == 1_209_600.0
    assert result.output == (
        "long-time emergency loading for 14 d 0 h more: hot spot 140 °C, top oil 115 °C, K = 1 (thermal K at which the "
        "guard curtails); led back to the normal limits before it ends\n"
    )


async def test_and_ends_it(site_daemon: Any) -> None:
    site_daemon.answers["thermal.regime"] = RegimeResult(
        regime="normal_cyclic", left_s=None, hot_spot_limit_c=120.0, top_oil_limit_c=105.0, k_limit_pu=1.5
    )
    result = await site_daemon.run("thermal regime normal_cyclic", tool_too=True)
    assert site_daemon.received == [RegimeParams(regime="normal_cyclic")]
    assert result.output.startswith("normal cyclic loading: hot spot 120 °C")


async def test_the_regime_alone_is_shown(site_daemon: Any) -> None:
    site_daemon.answers["thermal"] = answer(regime="short_time_emergency", regime_left_s=90.0, regime_by="anna")
    shown = await site_daemon.run("thermal regime", tool_too=True)
    assert shown.output == "short-time emergency loading for 1 min 30 s more, authorised by anna\n"
    told = await site_daemon.run("thermal regime --json", tool_too=True)
    assert json.loads(told.output) == {"regime": "short_time_emergency", "left_s": 90.0, "by": "anna"}


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("long_time_emergency --reason x", "--for is missing"),
        ("long_time_emergency --for 4h", "--reason is missing"),
        ("long_time_emergency --for 4 --reason x", "has no unit"),
        ("short_time_emergency --for 31min --reason x", "is authorised for 30 min at most"),
        ("normal_cyclic --for 1h", "needs no --for"),
        ("--for 1h", "which regime?"),
        ("normal_cyclic --set long_time_emergency", "Name one regime"),
        ("overload --for 1h --reason x", "is not one of"),
    ],
)
def test_what_is_not_understood_is_exit_code_2_and_says_why(words: str, complaint: str) -> None:
    result = CliRunner().invoke(tool.cli, ["thermal", "regime", *words.split()])
    assert result.exit_code == 2
    assert complaint in " ".join(result.output.split())


async def test_a_refusal_is_exit_code_1(site_daemon: Any) -> None:
    site_daemon.answers["thermal.regime"] = Refused("not now", code="NO_REASON")
    result = await site_daemon.run("thermal regime normal_cyclic", tool_too=True)
    assert (result.exit_code, result.output) == (1, "v2g-tool: not now\n")


@pytest.mark.parametrize("words", ["thermal", "thermal --json", "thermal regime", "thermal regime normal_cyclic"])
def test_without_a_daemon_it_is_exit_code_3(tmp_path: Path, words: str) -> None:
    result = CliRunner().invoke(tool.cli, words.split(), env={"V2G_SOCKET": str(tmp_path / "none.sock")})
    assert result.exit_code == 3
    assert ("DAEMON_NOT_REACHABLE" in result.output) == ("--json" in words)


def test_help_names_calibration_without_loading_it() -> None:
    result = CliRunner().invoke(tool.cli, ["thermal", "--help"])
    assert "calibrate  Fit the model to what was recorded." in result.output
    assert "regime" in result.output
