"""CM_VALIDATE as a vehicle uses it: who is asked, what counts, and what follows where it is not confirmed."""

from __future__ import annotations

import pytest

from pyiso15118.slac import events as slac
from pyiso15118.slac.addresses import Mac, mac_text
from pyiso15118.slac.ev import EvState
from pyiso15118.slac.events import Step
from pyiso15118.slac.messages import CM_SLAC_MATCH_REQ, CM_VALIDATE_REQ, ValidateResult
from support.slac_rig import EvRig

NEAR, FAR, STRANGE = (bytes((2, 0, 0, 0, 0x0A, n)) for n in (1, 2, 3))


def test_a_doubtful_evse_proves_itself_by_the_toggles_it_counts() -> None:
    rig = EvRig(use_validation=True)
    rig.until_choice({NEAR: 15})
    assert rig.machine.state is EvState.VALIDATING
    rig.validated(NEAR, ValidateResult.READY)
    rig.validated(NEAR, ValidateResult.READY)
    (wanted,) = rig.told(slac.ToggleWanted)
    assert (wanted.count, wanted.each_s) == (3, 0.3)
    assert [asked.timer for asked in rig.answers(CM_VALIDATE_REQ)] == [0, 18]
    rig.do(rig.machine.toggled, 3)
    rig.wait(1.9)
    rig.validated(NEAR, ValidateResult.SUCCESS, 3)
    assert rig.told(slac.Validated)[0].passed
    assert rig.answers(CM_SLAC_MATCH_REQ)
    assert not rig.machine.ignored


@pytest.mark.parametrize(
    ("levels", "asks"),
    [({NEAR: 10}, False), ({NEAR: 11}, True), ({NEAR: 4, FAR: 6}, True), ({NEAR: 4, FAR: 7}, False)],
)
def test_only_an_indirect_evse_or_one_with_a_near_rival_is_doubtful(levels: dict[Mac, int], asks: bool) -> None:
    rig = EvRig(use_validation=True)
    rig.until_choice(levels)
    assert bool(rig.answers(CM_VALIDATE_REQ)) == asks
    assert bool(rig.answers(CM_SLAC_MATCH_REQ)) != asks


@pytest.mark.parametrize(
    ("result", "counted"), [(ValidateResult.SUCCESS, 2), (ValidateResult.FAILURE, 0), (ValidateResult.FAILURE, 3)]
)
def test_a_wrong_count_leads_to_the_next_candidate(result: int, counted: int) -> None:
    rig = EvRig(use_validation=True)
    rig.until_choice({NEAR: 5, FAR: 6})
    rig.validated(NEAR, ValidateResult.READY)
    rig.do(rig.machine.toggled, 3)
    rig.validated(NEAR, result, counted)
    assert not rig.told(slac.Validated)[0].passed
    (asked,) = rig.answers(CM_SLAC_MATCH_REQ)
    assert asked.evse_mac == FAR


@pytest.mark.parametrize(("counted", "passes"), [(2, True), (3, False)])
def test_as_many_toggles_count_as_were_really_made(counted: int, passes: bool) -> None:
    rig = EvRig(use_validation=True)
    rig.until_choice({NEAR: 15})
    rig.validated(NEAR, ValidateResult.READY)
    rig.do(rig.machine.toggled, 2)
    rig.validated(NEAR, ValidateResult.SUCCESS, counted)
    assert rig.told(slac.Validated)[0].passed is passes
    assert bool(rig.answers(CM_SLAC_MATCH_REQ)) is passes


def test_an_evse_that_asks_for_no_validation_is_matched() -> None:
    rig = EvRig(use_validation=True)
    rig.until_choice({NEAR: 15})
    rig.validated(STRANGE, ValidateResult.NOT_REQUIRED)
    assert not rig.answers(CM_SLAC_MATCH_REQ)
    rig.validated(NEAR, ValidateResult.NOT_REQUIRED)
    assert rig.answers(CM_SLAC_MATCH_REQ)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "no answer to CM_VALIDATE.REQ"),
        (ValidateResult.NOT_READY, "it is not ready to count"),
        (ValidateResult.FAILURE, "it does not confirm the pilot"),
        (ValidateResult.READY, "it did not tell what it counted"),
    ],
)
def test_an_evse_that_does_not_validate_fails_with_its_reason(answer: int | None, words: str) -> None:
    rig = EvRig(use_validation=True)
    rig.until_choice({NEAR: 15})
    if answer is not None:
        rig.validated(NEAR, answer)
    rig.wait(3.0 if answer == ValidateResult.READY else 0.65)
    failed = rig.told(slac.MatchingFailed)[0]
    assert failed.step is Step.VALIDATE
    repeated = answer in (None, ValidateResult.NOT_READY)
    assert [asked.timer for asked in rig.answers(CM_VALIDATE_REQ)].count(0) == (3 if repeated else 1)
    assert words in failed.reason


def test_an_evse_that_told_nothing_of_the_toggles_is_waited_for_700_ms_beyond_them() -> None:
    rig = EvRig(use_validation=True)
    rig.until_choice({NEAR: 15})
    rig.validated(NEAR, ValidateResult.READY)
    rig.wait(1.8 + 0.69)
    assert rig.machine.state is EvState.VALIDATING
    rig.wait(0.02)
    assert rig.told(slac.MatchingFailed)[0].step is Step.VALIDATE


def test_a_late_confirmation_disturbs_nothing() -> None:
    rig = EvRig()
    rig.until_linked(NEAR)
    rig.fresh()
    for result in ValidateResult:
        rig.validated(NEAR, result, 3)
    assert not rig.sent
    assert not rig.events
    assert rig.machine.state is EvState.LINKED
    assert rig.machine.ignored == {"not for us": 5}


def test_a_vehicle_that_cannot_toggle_matches_a_doubtful_evse_without_it() -> None:
    rig = EvRig()
    rig.until_choice({NEAR: 15, FAR: 16})
    assert not rig.answers(CM_VALIDATE_REQ)
    assert [asked.evse_mac for asked in rig.answers(CM_SLAC_MATCH_REQ)] == [NEAR]


def test_each_candidate_is_asked_as_often_and_the_last_is_named() -> None:
    rig = EvRig(use_validation=True)
    rig.until_choice({NEAR: 14, FAR: 15})
    rig.wait(1.3)
    asked = [frame.destination for frame in rig.sent if isinstance(frame.message, CM_VALIDATE_REQ)]
    assert asked == [NEAR] * 3 + [FAR] * 3
    assert rig.told(slac.MatchingFailed)[0].reason == f"{mac_text(FAR)}: no answer to CM_VALIDATE.REQ"


def test_after_a_wrong_count_toggles_are_made_again_for_the_next_candidate() -> None:
    rig = EvRig(use_validation=True)
    rig.until_choice({NEAR: 14, FAR: 15})
    for evse, counted in ((NEAR, 1), (FAR, 3)):
        rig.validated(evse, ValidateResult.READY)
        rig.do(rig.machine.toggled, 3)
        rig.validated(evse, ValidateResult.SUCCESS, counted)
    assert [told.passed for told in rig.told(slac.Validated)] == [False, True]
    assert len(rig.told(slac.ToggleWanted)) == 2
    assert rig.answers(CM_SLAC_MATCH_REQ)[0].evse_mac == FAR


def test_retries_of_the_validation_are_none_of_the_match() -> None:
    rig = EvRig(use_validation=True)
    rig.until_choice({NEAR: 15})
    rig.wait(0.5)
    rig.validated(NEAR, ValidateResult.NOT_REQUIRED)
    rig.wait(0.55)
    assert (len(rig.answers(CM_VALIDATE_REQ)), len(rig.answers(CM_SLAC_MATCH_REQ))) == (3, 3)
