"""What the status tells of a vehicle's inverter."""

from __future__ import annotations

from pyiso15118 import events as ev
from pyiso15118.der import DerAlarm, DerFunction, DerState, GridCode
from pyiso15118.events import ControlMode, EnergyService
from support.ac_rig import AcRig
from support.grid_codes import NAMEPLATE
from v2g.grid import profiles
from v2g.grid.support import SupportSettings
from v2g.orchestrator.der_codes import der_line
from v2g.sessions.der import grid_code
from v2g.sessions.der_session import DerSession

CODE: GridCode = grid_code(profiles.resolve(nominal_frequency_hz=60.0), SupportSettings(), 230.0).code


def selected(service: EnergyService) -> DerSession:
    der = DerSession()
    der.handle(ev.EnergyServiceSelected(service=service, control_mode=ControlMode.DYNAMIC, parameter_set_id=1))
    return der


def test_what_a_vehicle_has_not_said_is_not_known() -> None:
    line = der_line(selected(EnergyService.AC_DER_IEC))
    assert (line.inverter, line.certified, line.in_service, line.connected) == ("", None, None, None)
    assert (line.alarms, line.grid_event, line.code_sent) == ("", False, False)


def test_the_inverters_own_words_and_what_it_was_told_are_in_the_line() -> None:
    der = selected(EnergyService.AC_DER_SAE)
    der.handle(ev.DerNameplateReceived(nameplate=NAMEPLATE))
    der.handle(ev.GridCodeSent(code=CODE, left_out=(DerFunction.WATT_VAR,)))
    der.handle(ev.GridCodeWaits(functions=(DerFunction.VOLT_VAR,)))
    state = DerState(in_service=False, connected=False, alarms=DerAlarm.OVER_VOLTAGE)
    der.handle(ev.DerStateReceived(state=state, not_enabled=(DerFunction.FREQUENCY_DROOP,)))
    line = der_line(der)
    assert (line.inverter, line.certified, line.in_service, line.connected) == ("Test OBC 11", True, False, False)
    assert (line.alarms, line.code_sent) == ("over voltage", True)
    assert (line.not_enabled, line.left_out, line.waits) == (("frequency droop",), ("watt-var",), ("volt-var",))


def test_a_session_of_another_service_has_no_such_line() -> None:
    rig = AcRig()
    assert rig.bay.der is None
    rig.charge(EnergyService.AC_BPT)
    assert rig.bay.der is None
