from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from v2g.cli.explain import explain
from v2g.telemetry import catalogue


def run(*words: str) -> Result:
    return CliRunner().invoke(explain, list(words))


@pytest.mark.parametrize(
    "words", [("Phase Mismatch",), ("phase", "mismatch"), ("PHASE_MISMATCH",), ("phase-mismatch",)]
)
def test_a_code_is_found_however_it_is_written(words: tuple[str, ...]) -> None:
    result = run(*words)
    assert result.exit_code == 0
    assert result.output.startswith("PHASE_MISMATCH (Phase Mismatch)\n")
    assert "What to do: Check the wiring of the phase named" in result.output
    assert "Table 5" in result.output


def test_the_frequency_window_is_explained() -> None:
    output = " ".join(run("FREQUENCY_WARNING").output.split())
    assert "It never trips" in output
    assert "57.0 to 61.8 Hz for 299 s" in output


def test_json_has_every_part() -> None:
    told = json.loads(run("ov2", "--json").output)
    assert set(told) == {"code", "also", "meaning", "daemon", "remedy", "clause"}
    assert told["code"] == "OV2"


def test_a_list_has_every_code_once() -> None:
    lines = run("--list").output.splitlines()
    assert [line.split()[0] for line in lines] == [entry.code for entry in catalogue.ENTRIES]
    assert max(map(len, lines)) <= 100
    assert len(json.loads(run("--list", "--json").output)) == len(lines)


def test_an_unknown_code_is_exit_1_with_what_may_have_been_meant() -> None:
    result = run("THD_HI")
    assert result.exit_code == 1
    assert "THD_HIGH" in result.stderr
    told = run("THD_HI", "--json")
    assert told.exit_code == 1
    assert "THD_HIGH" in json.loads(told.stdout)["error"]["close"]
    assert run("nonsense of the third kind").exit_code == 1


def test_nothing_or_both_is_a_wrong_use() -> None:
    assert run().exit_code == 2
    assert run("--list", "TRIP").exit_code == 2


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("0xEF22",), "0xEF22"),
        (("0xef22",), "0xEF22"),
        (("SECC_TIMEOUT",), "SECC_TIMEOUT"),
        (("secc_timeout",), "SECC_TIMEOUT"),
        (("ERROR: SECC_TIMEOUT",), "SECC_TIMEOUT"),
        (("ERROR:", "SECC_TIMEOUT"), "SECC_TIMEOUT"),
        (("error: secc_timeout",), "SECC_TIMEOUT"),
        (("REVERSE_FLOW_DENIED",), "REVERSE_FLOW_DENIED"),
        (("reverse_flow_denied",), "REVERSE_FLOW_DENIED"),
        (("phase mismatch",), "PHASE_MISMATCH"),
        (("2026-01-31T02:14:07.123Z ERROR: 0xEF22 US*V2G*E1: PLC handshake failed at CM_SLAC_MATCH",), "0xEF22"),
        (("2026-01-31T02:14:07.123Z comms  WARNING: PEER_CLOSED US*V2G*E1 lasted_s=3.1",), "PEER_CLOSED"),
        (("Jan 31 02:14:07 tr-12 v2g-guard-tick[412]: ERROR: TRIP OV2: breaker opened and latched",), "TRIP"),
        (("2026-01-31T02:14:07.123Z", "WARNING:", "NO_PERMIT", "-14.2", "kW", "--", "x"), "NO_PERMIT"),
        (("REFUSED uid=0 user=bob error=POWER_FLOWS reason=no",), "REFUSED"),
        (('{"code":"POWER_FLOWS"}',), "POWER_FLOWS"),
    ],
)
def test_what_is_pasted_from_a_log_is_explained(words: tuple[str, ...], code: str) -> None:
    result = run(*words)
    assert result.exit_code == 0, result.output
    assert result.output.split()[0] == code


def test_a_line_whose_code_is_not_known_is_not_explained_as_another_of_its_words() -> None:
    result = run("2026-01-31T02:14:07.123Z ERROR: NOT_OURS after SECC_TIMEOUT")
    assert result.exit_code == 1
