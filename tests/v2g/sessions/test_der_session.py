"""A grid code in a session at an AC EVSE: the permission follows the guard, and a tripped inverter gets nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pyiso15118 import events as ev
from pyiso15118.commands import SetGridCode
from pyiso15118.der import DerAlarm, DerFunction, DerState, GridCode
from pyiso15118.events import AcPower, EnergyService
from support.ac_rig import AcRig
from support.grid_codes import NAMEPLATE
from v2g.grid import profiles
from v2g.grid.support import SupportSettings
from v2g.sessions.bay import BayStep
from v2g.sessions.der import grid_code
from v2g.sessions.der_session import DerSession

CODE = grid_code(profiles.resolve(nominal_frequency_hz=60.0), SupportSettings(), 230.0).code
QUIET = DerAlarm(0)


def permission(commands: Any) -> list[bool]:
    codes = [command.code for command in commands if isinstance(command, SetGridCode)]
    return [code.enter_service.permitted for code in codes]


def state(in_service: bool | None, alarms: DerAlarm = QUIET) -> ev.DerStateReceived:
    return ev.DerStateReceived(state=DerState(in_service=in_service, alarms=alarms))


def selected(service: EnergyService = EnergyService.AC_DER_SAE) -> DerSession:
    der = DerSession()
    der.handle(ev.EnergyServiceSelected(service=service, control_mode=ev.ControlMode.DYNAMIC, parameter_set_id=1))
    return der


def test_the_permission_to_be_in_service_follows_the_guards() -> None:
    der = selected()
    assert permission(der.commands(CODE, supplied=False)) == [False]
    assert permission(der.commands(CODE, supplied=False)) == []
    assert permission(der.commands(CODE, supplied=True)) == [True]
    assert permission(der.commands(None, supplied=True)) == [False]
    assert permission(der.commands(CODE, supplied=True)) == [True]


def test_a_vehicle_under_another_service_is_told_nothing() -> None:
    der = selected(EnergyService.AC_BPT)
    assert not der.active
    assert der.commands(CODE, supplied=True) == ()
    der.handle(state(False))
    assert der.out_of_service == ""


def test_a_code_is_told_of_once_and_a_changed_one_again() -> None:
    der = selected()
    der.handle(ev.GridCodeSent(code=CODE, left_out=(DerFunction.OVER_VOLTAGE_MUST_TRIP,)))
    (notice,) = der.take_notices()
    assert notice.code == "DER_CODE_SENT"
    assert "the guard alone sees to" in notice.text
    assert CODE.enter_service is not None
    denied = replace(CODE, enter_service=replace(CODE.enter_service, permitted=False))
    der.handle(ev.GridCodeSent(code=denied, in_loop=True))
    assert der.take_notices() == ()
    der.handle(ev.GridCodeSent(code=replace(CODE, nominal_frequency_hz=60.5), in_loop=True))
    assert [notice.code for notice in der.take_notices()] == ["DER_CODE_SENT"]


def test_a_function_waits_until_parameters_are_discovered_again() -> None:
    der = selected(EnergyService.AC_DER_IEC)
    der.handle(ev.GridCodeSent(code=CODE, left_out=(DerFunction.ENTER_SERVICE,)))
    der.handle(ev.GridCodeWaits(functions=(DerFunction.VOLT_VAR,)))
    der.handle(ev.GridCodeSent(code=CODE, in_loop=True, left_out=(DerFunction.ENTER_SERVICE,)))
    der.handle(ev.GridCodeWaits(functions=(DerFunction.FREQUENCY_DROOP,)))
    assert der.waits == (DerFunction.FREQUENCY_DROOP, DerFunction.VOLT_VAR)
    der.handle(ev.GridCodeSent(code=CODE, left_out=(DerFunction.ENTER_SERVICE,)))
    assert (der.waits, der.left_out) == ((), (DerFunction.ENTER_SERVICE,))


def test_what_waits_what_is_off_and_what_trips_are_notices() -> None:
    der = selected()
    der.handle(ev.DerNameplateReceived(nameplate=NAMEPLATE))
    assert der.nameplate == NAMEPLATE
    der.handle(ev.GridCodeWaits(functions=(DerFunction.FREQUENCY_DROOP,)))
    der.handle(replace(state(True), not_enabled=(DerFunction.FREQUENCY_DROOP,)))
    der.handle(state(False, DerAlarm.OVER_FREQUENCY))
    der.handle(state(False, DerAlarm.OVER_FREQUENCY))
    der.handle(state(None))
    notices = der.take_notices()
    assert [(notice.code, notice.is_warning) for notice in notices] == [
        ("DER_CODE_WAITS", True),
        ("DER_FUNCTIONS_OFF", True),
        ("DER_OUT_OF_SERVICE", True),
        ("DER_IN_SERVICE", False),
    ]
    assert der.take_notices() == ()


# ---- at an EVSE ------------------------------------------------------------------------------------------------------


@pytest.fixture
def rig() -> AcRig:
    rig = AcRig()
    rig.bay.grid_code = CODE
    rig.grant_w = -8_000.0
    return rig


def codes(step: BayStep) -> list[GridCode]:
    return [command.code for command in step.commands if isinstance(command, SetGridCode)]


@pytest.mark.parametrize("service", [EnergyService.AC_DER_SAE, EnergyService.AC_DER_IEC])
def test_the_vehicle_discharges_as_under_bpt(rig: AcRig, service: EnergyService) -> None:
    rig.charge(service)
    assert rig.told(rig.cycle()).target_active_power == AcPower(-8_000.0)


def test_an_inverter_that_tripped_is_asked_for_nothing_until_it_is_back(rig: AcRig) -> None:
    rig.charge(EnergyService.AC_DER_SAE)
    rig.say(state(False, DerAlarm.OVER_VOLTAGE))
    step = rig.cycle()
    assert rig.told(step).target_active_power == AcPower(0.0)
    assert rig.bay.charging
    assert rig.bay.der is not None
    assert rig.bay.der.state == DerState(in_service=False, alarms=DerAlarm.OVER_VOLTAGE)
    rig.say(state(True))
    rig.cycle()
    assert rig.told(rig.cycle()).target_active_power == AcPower(-8_000.0)


def test_a_guard_that_withdraws_its_permission_takes_the_vehicles_too(rig: AcRig) -> None:
    rig.charge(EnergyService.AC_DER_SAE)
    assert codes(rig.cycle()) == []
    rig.permitted = False
    assert permission(rig.cycle().commands) == [False]
    rig.permitted = True
    rig.cycle()


def test_a_code_that_changes_is_handed_over_in_the_same_cycle(rig: AcRig) -> None:
    rig.charge(EnergyService.AC_DER_SAE)
    rig.bay.grid_code = changed = replace(CODE, nominal_frequency_hz=60.5)
    assert codes(rig.cycle()) == [changed]
    assert codes(rig.cycle()) == []
