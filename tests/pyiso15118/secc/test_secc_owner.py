"""An owner that says nonsense is told so, and the session does not suffer."""

from dataclasses import replace
from typing import Any

import pytest

from pyiso15118.commands import Abort, Authorize, CableCheckFinished, StopCharging
from pyiso15118.errors import LocalProtocolError
from pyiso15118.events import DcLimits, EnergyService, MeterReading
from pyiso15118.messages import common_types as ct
from pyiso15118.secc import DC_SERVICES, SeccConfig, ServiceOffer, State

Code = ct.responseCodeType
METER = MeterReading(meter_id="METER-7", charged_energy_wh=1200)


def test_commands_that_make_no_sense_are_refused(secc_bench: Any, evse_limits: DcLimits) -> None:
    bench = secc_bench()
    with pytest.raises(LocalProtocolError, match="before CableCheckRequested"):
        bench.command(CableCheckFinished(passed=True))
    with pytest.raises(LocalProtocolError, match="no command for a SECC"):
        bench.command(StopCharging())
    with pytest.raises(LocalProtocolError, match="present_voltage_v is nan"):
        bench.update(present_voltage_v=float("nan"))
    with pytest.raises(LocalProtocolError, match="max_charge_power_w is -1"):
        bench.command(replace(bench.evse, present_voltage_v=0.0, limits=replace(evse_limits, max_charge_power_w=-1.0)))
    assert not bench.machine.closed


@pytest.mark.parametrize(
    "changes",
    [
        {"present_voltage_v": None},
        {"present_voltage_v": "400"},
        {"present_voltage_v": True},
        {"present_current_a": float("inf")},
        {"present_current_a": 10**400},
        {"present_current_a": 2e9},
        {"limits": None},
        {"limits": replace(DcLimits(max_charge_power_w=1, max_charge_current_a=1, max_voltage_v=1, min_voltage_v="0"))},
        {"contactors_closed": 1},
        {"fault": 7},
        {"fault": b"hot"},
        {"power_limit_achieved": 1},
        {"current_limit_achieved": None},
        {"voltage_limit_achieved": "no"},
        {"notification": "Terminate"},
        {"notification_max_delay_s": 2**16},
        {"meter": 12.5},
        {"meter": replace(METER, charged_energy_wh=12.5)},
        {"meter": replace(METER, charged_energy_wh=True)},
        {"meter": replace(METER, charged_energy_wh=-1)},
        {"meter": replace(METER, discharged_energy_wh=2**64)},
        {"meter": replace(METER, meter_id="m" * 33)},
        {"meter": replace(METER, signature=bytes(65))},
    ],
)
def test_a_state_that_no_evse_can_have_is_refused_and_the_last_one_stands(
    secc_bench: Any, changes: dict[str, Any]
) -> None:
    bench = secc_bench().reach(State.CHARGE_LOOP)
    with pytest.raises(LocalProtocolError, match=next(iter(changes))):
        bench.command(replace(bench.evse, **changes))
    assert bench.ask(bench.request(State.CHARGE_LOOP)).ResponseCode is Code.OK


@pytest.mark.parametrize(
    "command",
    [
        Authorize(granted=1),  # type: ignore[arg-type]
        CableCheckFinished(passed="yes"),  # type: ignore[arg-type]
        CableCheckFinished(passed=False, detail=5),  # type: ignore[arg-type]
        Abort(reason=None),  # type: ignore[arg-type]
        None,
    ],
)
def test_commands_with_wrong_types_are_refused(secc_bench: Any, command: Any) -> None:
    bench = secc_bench().reach(State.CABLE_CHECK)
    bench.answers.clear()
    bench.ask(bench.request(State.CABLE_CHECK))
    with pytest.raises(LocalProtocolError):
        bench.command(command)
    assert not bench.machine.closed


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"evse_id": ""}, "evse_id"),
        ({"services": ()}, "at least one service"),
        ({"services": (ServiceOffer(service=EnergyService.AC),)}, "ac_limits of US\\*V2G\\*E1 \\(service AC\\)"),
        ({"services": (replace(DC_SERVICES[0], parameter_sets=()),)}, "parameter sets"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused(
    evse_limits: DcLimits, changes: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(LocalProtocolError, match=complaint):
        SeccConfig(**({"evse_id": "US*V2G*E1", "limits": evse_limits} | changes))
