"""Kernel, real time, capabilities, clock and LEDs, judged."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from v2g.host.preflight.model import Level, PreflightLine, exit_code, softened, worst
from v2g.host.preflight.system import (
    CAP_NET_RAW,
    KernelFacts,
    LedFacts,
    ProcessFacts,
    RealtimeFacts,
    UnitRights,
    judge_capabilities,
    judge_clock,
    judge_kernel,
    judge_leds,
    judge_realtime,
)

EVSES = ("US*V2G*E1",)


def only(lines: Iterable[PreflightLine]) -> PreflightLine:
    (line,) = lines
    return line


@pytest.mark.parametrize(
    ("release", "version", "realtime", "level"),
    [
        ("6.1.0-18-rt-amd64", "#1 SMP PREEMPT_RT Debian", None, Level.PASS),
        ("5.10.0-rt17", "#1 SMP PREEMPT RT Debian", None, Level.PASS),
        ("6.12.1", "#1 SMP PREEMPT_DYNAMIC", True, Level.PASS),
        ("6.12.1", "#1 SMP PREEMPT_DYNAMIC", False, Level.WARN),
        ("5.10.0", "#1 SMP", None, Level.WARN),
        ("5.9.16-rt", "#1 SMP PREEMPT_RT", True, Level.FAIL),
        ("4.19.0", "#1 SMP", None, Level.FAIL),
        ("10.1.0", "#1 SMP PREEMPT_RT", None, Level.PASS),
        ("strange", "", None, Level.WARN),
    ],
)
def test_a_kernel_below_5_10_fails_and_one_without_realtime_warns(
    release: str, version: str, realtime: bool | None, level: Level
) -> None:
    line = only(judge_kernel(KernelFacts(release, version, realtime)))
    assert line.level is level
    assert release in line.found
    assert bool(line.remedy) is (level is not Level.PASS)


def test_the_guard_s_own_word_on_realtime_counts_before_its_unit() -> None:
    generous = UnitRights("v2g-guard-tick.service", rtprio=99, memlock="infinity")
    assert only(judge_realtime(RealtimeFacts(True), 60)).level is Level.PASS
    line = only(judge_realtime(RealtimeFacts(False, generous), 60))
    assert line.level is Level.WARN
    assert "LimitRTPRIO=60" in line.remedy


@pytest.mark.parametrize(
    ("unit", "level", "words"),
    [
        (UnitRights("u", rtprio=60, memlock="infinity"), Level.PASS, "SCHED_FIFO 60"),
        (UnitRights("u", ambient=("CAP_SYS_NICE", "CAP_IPC_LOCK")), Level.PASS, "SCHED_FIFO 60"),
        (UnitRights("u", rtprio=59, memlock="infinity"), Level.WARN, "does not allow SCHED_FIFO"),
        (UnitRights("u", rtprio=60, memlock="65536"), Level.WARN, "does not allow locked memory"),
        (None, Level.WARN, "neither runs"),
    ],
)
def test_a_guard_that_does_not_run_is_judged_by_its_unit(unit: UnitRights | None, level: Level, words: str) -> None:
    line = only(judge_realtime(RealtimeFacts(None, unit), 60))
    assert (line.level, words in line.found) == (level, True), line


def test_a_driver_without_raw_ethernet_fails_for_its_evses() -> None:
    may = ProcessFacts(7, 990, 1 << CAP_NET_RAW)
    assert only(judge_capabilities(may, None, None, EVSES)).level is Level.PASS
    line = only(judge_capabilities(ProcessFacts(7, 990, 0), None, None, EVSES))
    assert (line.level, line.evses) == (Level.FAIL, EVSES)
    assert "kplc-driver[7]" in line.found
    unit = UnitRights("kplc-driver.service", ambient=("CAP_NET_ADMIN",))
    assert only(judge_capabilities(None, unit, None, EVSES)).level is Level.FAIL
    assert only(judge_capabilities(None, None, None, EVSES)).level is Level.WARN


def test_a_daemon_with_more_rights_than_it_needs_warns() -> None:
    root = ProcessFacts(12, 0, 0x1FFFFFFFFFF)
    line = only(judge_capabilities(None, None, root, ()))
    assert (line.level, "as root" in line.found) == (Level.WARN, True)
    assert only(judge_capabilities(None, None, ProcessFacts(12, 990, 0), ())).level is Level.PASS


@pytest.mark.parametrize(
    ("synchronised", "unix_s", "level"),
    [(True, 2e9, Level.PASS), (False, 2e9, Level.WARN), (None, 2e9, Level.WARN), (True, 1e9, Level.FAIL)],
)
def test_a_clock_before_the_release_fails_and_one_nobody_disciplines_warns(
    synchronised: bool | None, unix_s: float, level: Level
) -> None:
    assert only(judge_clock(synchronised, unix_s, 1.7e9)).level is level


def test_leds_that_are_not_there_or_not_ours_warn_by_name() -> None:
    lines = list(
        judge_leds([LedFacts("green", True, True), LedFacts("red", False, False), LedFacts("amber", True, False)])
    )
    assert [(line.level, line.found) for line in lines] == [
        (Level.WARN, "there is no LED red"),
        (Level.WARN, "LED amber cannot be written"),
        (Level.PASS, "green"),
    ]
    assert only(judge_leds(())).level is Level.PASS


def test_the_worst_line_decides_the_exit_code() -> None:
    lines = [PreflightLine(name="a", level=level, found="") for level in (Level.PASS, Level.WARN, Level.FAIL)]
    assert [worst(lines[:n]) for n in range(4)] == [Level.PASS, Level.PASS, Level.WARN, Level.FAIL]
    assert [exit_code(lines[:n]) for n in range(4)] == [0, 0, 0, 1]


def test_in_the_simulation_named_checks_are_warnings_that_say_so() -> None:
    lines = [
        PreflightLine(name="kernel", level=Level.FAIL, found="old", evses=EVSES),
        PreflightLine(name="disk", level=Level.FAIL, found="full"),
    ]
    soft, hard = softened(lines, frozenset({"kernel"}), "a simulation")
    assert (soft.level, soft.found, soft.evses) == (Level.WARN, "old (a simulation)", ())
    assert hard.level is Level.FAIL
