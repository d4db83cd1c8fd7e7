"""``v2g-tool set-harmonic-filter`` and ``harmonics`` against a control server with canned answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from v2g.cli.harmonics import harmonics_text
from v2g.control.messages_quality import FilterLine, HarmonicFilterParams, HarmonicFilterResult, HarmonicsResult
from v2g.control.server import Refused

E1 = "US*V2G*E1"
LINE = FilterLine(evse_id=E1, threshold=0.03, value=12_000.0, unit="Hz", active=True, thd_before=0.0605)


def was_set(**changes: Any) -> HarmonicFilterResult:
    fields: dict[str, Any] = {
        "changed": True, "file": "/etc/v2g/conf.d/90-operator.yaml", "thd_now": 0.0605, "not_measured": "",
        "filters": (FilterLine(evse_id=E1, threshold=0.03, value=8_000.0, unit="Hz"),),
    }  # fmt: skip
    return HarmonicFilterResult(**(fields | changes))


def shown(**changes: Any) -> HarmonicsResult:
    fields: dict[str, Any] = {
        "not_measured": "", "thd_now": 0.06, "age_s": 0.4, "frequency_hz": 60.01, "highest_harmonic": 5,
        "sample_rate_hz": 3840, "thd_v_pct": (1.0, 1.1, 1.2), "thd_v_limit_pct": 8.0, "thd_i_pct": (5.8, 6.0, 5.9),
        "trd_pct": (2.6, 5.7, 2.6), "trd_limit_pct": 5.0,
        "harmonics_v_pct": ((0.1, 0.2, 0.1), (0.0, 0.0, 0.0), (0.3, 0.2, 0.1), (1.0, 1.0, 1.1)),
        "harmonics_i_pct": ((0.1, 0.1, 0.1), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (2.2, 4.4, 2.3)),
        "limits_i_pct": (1.0, 4.0, 2.0, 4.0), "filters": (LINE,),
    }  # fmt: skip
    return HarmonicsResult(**(fields | changes))


@pytest.mark.parametrize(
    ("command", "threshold", "evse"),
    [
        ("--set-harmonic-filter --threshold=0.03", 0.03, None),
        ("–-set-harmonic-filter –-threshold=0.03", 0.03, None),
        ("—set-harmonic-filter —threshold=0.03", 0.03, None),
        (f"set-harmonic-filter --threshold 0.05 --evse {E1}", 0.05, E1),
        ("--set-harmonic-filter --off", None, None),
    ],
)
async def test_the_manuals_words_reach_the_daemon(
    site_daemon: Any, command: str, threshold: float | None, evse: str | None
) -> None:
    site_daemon.answers["harmonic_filter.set"] = was_set()
    result = await site_daemon.run(command, tool_too=True)
    assert result.exit_code == 0, result.output
    assert site_daemon.received == [HarmonicFilterParams(threshold=threshold, evse_id=evse)]


async def test_the_answer_names_threshold_thd_and_filters(site_daemon: Any) -> None:
    site_daemon.answers["harmonic_filter.set"] = was_set(remarks=("US*V2G*E1 follows the site",))
    result = await site_daemon.run("--set-harmonic-filter --threshold=0.03", tool_too=True)
    assert result.output.splitlines() == [
        "set: threshold 3 % for all inverters with a filter; kept in /etc/v2g/conf.d/90-operator.yaml",
        "THD of the feeder's current now: 6.05 %",
        "  US*V2G*E1: carrier 8000 Hz (normal), threshold 3 %",
        "- US*V2G*E1 follows the site",
    ]


async def test_the_same_again_is_no_change_and_no_failure(site_daemon: Any) -> None:
    site_daemon.answers["harmonic_filter.set"] = was_set(changed=False, thd_now=None, not_measured="no samples")
    result = await site_daemon.run("--set-harmonic-filter --threshold=0.03", tool_too=True)
    assert result.exit_code == 0
    assert result.output.startswith("no change: threshold 3 % for all inverters")
    assert "THD of the feeder's current now: not known: no samples" in result.output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--threshold=3", "0.03 is 3 %; for 3 % write 0.03"),
        ("--threshold=0.001", "outside 0.005..0.2"),
        ("--threshold=nan", "is not a quantity; write it like 0.03 or 3%"),
        ("--threshold=-0.03", "0.03 is 3 %"),
        ("--threshold=0.03 --off", "or --off"),
        ("", "give --threshold=0.03"),
    ],
)
async def test_what_cannot_be_meant_never_reaches_the_daemon(site_daemon: Any, words: str, told: str) -> None:
    result = await site_daemon.run(f"--set-harmonic-filter {words}", tool_too=True)
    assert result.exit_code == 2
    assert told in result.output
    assert site_daemon.received == []


async def test_a_refusal_is_told_with_its_remedy(site_daemon: Any) -> None:
    site_daemon.answers["harmonic_filter.set"] = Refused("no inverter has a harmonic filter", code="NO_FILTER")
    result = await site_daemon.run("--set-harmonic-filter --off", tool_too=True)
    assert result.exit_code == 1
    assert "no inverter has a harmonic filter" in result.output


async def test_the_spectra_are_bars_with_limits_marked(site_daemon: Any) -> None:
    site_daemon.answers["harmonics.show"] = shown()
    result = await site_daemon.run("harmonics", tool_too=True)
    assert result.exit_code == 0
    lines = [" ".join(line.split()) for line in result.output.splitlines()]
    for expected in (
        "Ten cycles of 60.01 Hz, 0.4 s old; to order 5 at 3840 samples a second",
        "current THD 5.80 6.00 5.90 % of the fundamental",
        "TRD 2.60 5.70 2.60 % of rated current, limit 5 % EXCEEDED",
        "CURRENT OF THE V2G FEEDER, worst phase, % of rated current",
        f"5 4.400 {'#' * 40} limit 4 EXCEEDED",
        "2 0.100 # limit 1",
        "3 0.000 limit 4",
        "VOLTAGE OF THE BUS, worst phase, % of the fundamental",
        "US*V2G*E1: carrier 12000 Hz, threshold 3 %, THD 6.05 % before it moved",
    ):
        assert expected in lines, expected


def test_one_phase_of_one_quantity() -> None:
    text = harmonics_text(shown(), ("v",), "a")
    assert "VOLTAGE OF THE BUS, phase a" in text
    assert "CURRENT OF" not in text
    assert "  4   0.300" in text


async def test_the_json_is_the_daemons(site_daemon: Any) -> None:
    site_daemon.answers["harmonics.show"] = shown()
    result = await site_daemon.run("harmonics --json", tool_too=True)
    assert json.loads(result.output)["harmonics_i_pct"][3] == [2.2, 4.4, 2.3]


async def test_without_a_measurement_it_shows_the_filters_and_fails(site_daemon: Any) -> None:
    site_daemon.answers["harmonics.show"] = HarmonicsResult(not_measured="no samples", thd_now=None)
    result = await site_daemon.run("harmonics", tool_too=True)
    assert result.exit_code == 1
    assert "not measured: no samples" in result.output
    assert "none: name a register map in evses[].inverter.harmonic_filter.map" in result.output


@pytest.mark.soak
async def test_a_picture_is_drawn_or_refused_in_words(
    site_daemon: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site_daemon.answers["harmonics.show"] = shown()
    pytest.importorskip("matplotlib")
    picture = tmp_path / "spectrum.png"
    result = await site_daemon.run(f"harmonics --quantity=i --png {picture}", tool_too=True)
    assert result.exit_code == 0, result.output
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.glob("*.png*")] == ["spectrum.png"]
    result = await site_daemon.run(f"harmonics --png {tmp_path}/none/spectrum.png", tool_too=True)
    assert result.exit_code == 1
    assert "name a .png in a directory that can be written" in result.output
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    result = await site_daemon.run(f"harmonics --png {tmp_path}/spectrum.jpg", tool_too=True)
    assert result.exit_code == 2
    assert "does not end with .png" in result.output
    result = await site_daemon.run(f"harmonics --png {picture}", tool_too=True)
    assert result.exit_code == 1
    assert "pictures need matplotlib; install v2g-orchestrator[replay]" in result.output
