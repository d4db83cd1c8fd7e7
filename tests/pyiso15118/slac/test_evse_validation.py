"""CM_VALIDATE at the EVSE: whose toggles does the pilot show?"""

from __future__ import annotations

from pyiso15118.slac import events as slac
from pyiso15118.slac.messages import CM_SLAC_MATCH_CNF, CM_VALIDATE_CNF, CM_VALIDATE_REQ, ValidateResult
from support.slac_rig import EV_MAC, EVSE_MAC, EvseRig, Vehicle

OTHER_MAC = bytes.fromhex("020000000c02")


def test_without_a_count_of_toggles_validation_is_not_required() -> None:
    rig = EvseRig()
    vehicle = Vehicle(rig)
    vehicle.until_match()
    vehicle.validate(0)
    assert rig.answers(CM_VALIDATE_CNF) == [CM_VALIDATE_CNF(result=ValidateResult.NOT_REQUIRED)]


def test_toggles_within_the_announced_time_are_counted_and_told() -> None:
    rig = EvseRig(validate=True)
    vehicle = Vehicle(rig)
    rig.machine.toggles(4, rig.now)
    vehicle.until_match()
    vehicle.validate(0)
    vehicle.validate(17)
    rig.machine.toggles(7, rig.now)
    vehicle.validate(0)
    rig.wait(1.9)
    ready, again, counted = rig.answers(CM_VALIDATE_CNF)
    assert ready.result == again.result == ValidateResult.READY
    assert (counted.result, counted.toggle_num) == (ValidateResult.SUCCESS, 3)
    assert rig.told(slac.Validated)[0].passed
    vehicle.match()
    assert rig.answers(CM_SLAC_MATCH_CNF)


def test_without_toggles_validation_fails() -> None:
    rig = EvseRig(validate=True)
    vehicle = Vehicle(rig)
    vehicle.until_match()
    vehicle.validate(0)
    vehicle.validate(17)
    rig.wait(1.9)
    assert rig.answers(CM_VALIDATE_CNF)[-1] == CM_VALIDATE_CNF(result=ValidateResult.FAILURE)
    assert not rig.told(slac.Validated)[0].passed


def test_no_announced_time_keeps_others_from_validating_for_longer_than_the_standard_allows() -> None:
    rig = EvseRig(validate=True)
    vehicle, other = Vehicle(rig), Vehicle(rig, mac=OTHER_MAC, run_id=b"run-0002")
    vehicle.until_match()
    other.until_match()
    vehicle.validate(0)
    vehicle.validate(255)
    other.validate(0)
    assert rig.answers(CM_VALIDATE_CNF)[-1].result == ValidateResult.NOT_READY
    rig.wait(3.7)
    other.validate(0)
    assert rig.answers(CM_VALIDATE_CNF)[-1].result == ValidateResult.READY


def test_after_a_proven_vehicle_no_unproven_one_is_matched() -> None:
    rig = EvseRig(validate=True)
    proven, other = Vehicle(rig), Vehicle(rig, mac=OTHER_MAC, run_id=b"run-0002")
    proven.until_match(db=15)
    other.until_match(db=5)
    proven.validate(0)
    proven.validate(10)
    rig.machine.toggles(3, rig.now)
    rig.wait(1.5)
    other.match()
    assert not rig.answers(CM_SLAC_MATCH_CNF)
    proven.match()
    assert rig.machine.vehicle == EV_MAC


def test_validation_of_another_signal_fails_and_of_a_stranger_is_not_answered() -> None:
    rig = EvseRig(validate=True)
    vehicle = Vehicle(rig)
    vehicle.validate(0)
    vehicle.until_told()
    rig.fresh()
    vehicle.validate(0)
    assert not rig.sent
    vehicle.respond()
    rig.hear(CM_VALIDATE_REQ(signal_type=1), EV_MAC, EVSE_MAC)
    assert rig.answers(CM_VALIDATE_CNF) == [CM_VALIDATE_CNF(result=ValidateResult.FAILURE)]
