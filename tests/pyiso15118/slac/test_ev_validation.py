"""CM_VALIDATE as a vehicle uses it: who is asked, what counts, and what follows where it is not confirmed."""

from __future__ import annotations

import pytest

from pyiso15118.slac import events as slac
from pyiso15118.slac.addresses import Mac
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


@pytest.mark.parametrize(
    ("levels", "asks"),
    [({NEAR: 10}, False), ({NEAR: 11}, True), ({NEAR: 4, FAR: 6}, True), ({NEAR: 4, FAR: 7}, False)],
)
def test_only_an_indirect_evse_or_one_with_a_near_rival_is_doubtful(levels: dict[Mac, int], asks: bool) -> None:
    rig = EvRig(use_validation=True)
    rig.until_choice(levels)
    assert bool(rig.answers(CM_VALIDATE_REQ)) == asks
    assert bool(rig.answers(CM_SLAC_MATCH_REQ)) != asks


@pytest.mark.parametrize(("result", "counted"), [(ValidateResult.SUCCESS, 2), (ValidateResult.FAILURE, 0)])
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
