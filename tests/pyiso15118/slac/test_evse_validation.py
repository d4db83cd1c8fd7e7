"""CM_VALIDATE at the EVSE: whose toggles does the pilot show?"""

from __future__ import annotations

from pyiso15118.slac import events as slac
from pyiso15118.slac.messages import CM_SLAC_MATCH_CNF, CM_VALIDATE_CNF, CM_VALIDATE_REQ, ValidateResult
from support.slac_rig import EV_MAC, EVSE_MAC, EvseRig, Vehicle

OTHER_MAC = bytes.fromhex("020000000c02")


def results_of(rig: EvseRig) -> list[tuple[bytes, int]]:
    """Of validations, in order, with whom they went to."""
    return [(one.destination, one.message.result) for one in rig.sent if isinstance(one.message, CM_VALIDATE_CNF)]


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


def test_who_may_toggle_keeps_the_others_waiting_until_it_has_or_its_time_is_over() -> None:
    rig = EvseRig(validate=True)
    vehicle, other = Vehicle(rig), Vehicle(rig, mac=OTHER_MAC, run_id=b"run-0002")
    vehicle.until_match()
    other.until_match()
    vehicle.validate(0)
    rig.wait(3.4)
    other.validate(0)
    other.validate(10)
    vehicle.validate(0)
    rig.wait(0.2)
    other.validate(0)
    assert results_of(rig) == [
        (EV_MAC, ValidateResult.READY),
        (OTHER_MAC, ValidateResult.NOT_READY),
        (OTHER_MAC, ValidateResult.NOT_READY),
        (EV_MAC, ValidateResult.READY),
        (OTHER_MAC, ValidateResult.READY),
    ]


def test_who_has_toggled_keeps_nobody_waiting() -> None:
    rig = EvseRig(validate=True)
    vehicle, other = Vehicle(rig), Vehicle(rig, mac=OTHER_MAC, run_id=b"run-0002")
    vehicle.until_match()
    other.until_match()
    vehicle.validate(0)
    vehicle.validate(5)
    rig.wait(0.65)
    other.validate(0)
    rig.wait(0.1)
    other.validate(0)
    assert results_of(rig) == [
        (EV_MAC, ValidateResult.READY),
        (OTHER_MAC, ValidateResult.NOT_READY),
        (EV_MAC, ValidateResult.FAILURE),
        (OTHER_MAC, ValidateResult.READY),
    ]


def test_toggles_of_an_earlier_vehicle_prove_nothing_for_the_next() -> None:
    rig = EvseRig(validate=True)
    rig.machine.toggles(9, rig.now)
    rig.do(rig.machine.plugged, False)
    rig.do(rig.machine.plugged, True)
    vehicle = Vehicle(rig)
    vehicle.until_match()
    vehicle.validate(0)
    vehicle.validate(10)
    rig.machine.toggles(3, rig.now)
    rig.wait(1.2)
    assert rig.told(slac.Validated)[0] == slac.Validated(pev_mac=EV_MAC, evse_mac=EVSE_MAC, toggles=3, passed=True)


def test_one_toggle_proves_a_vehicle_and_the_first_step_gives_it_time_to_go_on() -> None:
    rig = EvseRig(validate=True)
    vehicle = Vehicle(rig)
    vehicle.until_match()
    rig.wait(9.5)
    vehicle.validate(0)
    rig.wait(9.5)
    vehicle.validate(2)
    rig.machine.toggles(1, rig.now)
    rig.wait(0.5)
    assert rig.told(slac.Validated)[0].passed
    rig.wait(9.5)
    vehicle.match()
    assert rig.machine.vehicle == EV_MAC
