"""Whose discharge a fail refuses, and what is told when that changes."""

from __future__ import annotations

from v2g.host.preflight.model import failed, passed, warned
from v2g.orchestrator.preflight.verdict import Verdict, fail_words, mended, newly_failed, summary

E1, E2 = "US*V2G*E1", "US*V2G*E2"
DISK = failed("disk", "logs directory /var/log/v2g is full", "free some")
INVERTER = failed("inverters", f"inverter {E1}: no answer", "look at its power", [E1])
EFFICIENCY = failed("efficiency", f"{E1}: 93.0 %", "as it says", [E1])


def test_nobody_discharges_before_the_first_verdict() -> None:
    verdict = Verdict()
    assert verdict.refuses((E1, E2)) == {E1: "it has not ended yet", E2: "it has not ended yet"}
    assert verdict.problems() == ("no discharge: preflight: it has not ended yet",)


def test_a_fail_refuses_the_site_or_the_evses_it_names_and_a_warning_nobody() -> None:
    assert Verdict((DISK,)).refuses((E1, E2)) == {E1: "disk failed", E2: "disk failed"}
    assert Verdict((INVERTER,)).refuses((E1, E2)) == {E1: "inverters failed"}
    assert Verdict((warned("kernel", "no RT", "x"), passed("relay", "closed"))).refuses((E1, E2)) == {}


def test_an_evse_under_test_is_not_refused_for_its_efficiency_only() -> None:
    assert Verdict((EFFICIENCY,)).refusal(E1) == "efficiency failed"
    assert Verdict((EFFICIENCY,)).refusal(E1, testing=E1) == ""
    assert Verdict((EFFICIENCY,)).refusal(E1, testing=E2) == "efficiency failed"
    assert Verdict((EFFICIENCY, DISK)).refusal(E1, testing=E1) == "disk failed"


def test_problems_name_the_evse_the_finding_and_the_remedy() -> None:
    assert fail_words(INVERTER) == (
        f"{E1}: no discharge: preflight inverters: inverter {E1}: no answer; look at its power"
    )
    assert fail_words(EFFICIENCY) == f"{E1}: no discharge: preflight efficiency: {E1}: 93.0 %"


def test_a_fail_is_told_once_though_its_figures_change() -> None:
    before = Verdict((DISK,))
    fuller = failed("disk", "logs directory /var/log/v2g is full: only 0 MiB free", "free some")
    assert newly_failed(before, Verdict((fuller, INVERTER))) == (INVERTER,)
    state = failed("disk", "state directory /var/lib/v2g is full: only 0 MiB free", "free some")
    assert newly_failed(before, Verdict((fuller, state))) == (state,)
    assert newly_failed(Verdict(), before) == (DISK,)


def test_what_no_longer_fails_is_mended() -> None:
    assert mended(Verdict((DISK, INVERTER)), Verdict((INVERTER,))) == ("disk",)
    assert mended(Verdict(), Verdict((DISK,))) == ()


def test_the_summary_counts_and_names_what_is_not_in_order() -> None:
    lines = (passed("relay", ""), warned("tls", "a", ""), warned("tls", "b", ""), DISK)
    assert summary(lines) == "1 pass, 2 warn (tls), 1 fail (disk)"
