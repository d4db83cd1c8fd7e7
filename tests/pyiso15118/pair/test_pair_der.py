"""AC_DER_IEC and AC_DER_SAE, ours against ours: the grid code arrives, holds, changes, and is refused where it must."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pyiso15118.commands import (
    EnterStandby,
    LeaveStandby,
    PauseCharging,
    RenegotiateSchedule,
    RenegotiateService,
    SetGridCode,
)
from pyiso15118.der import DerAlarm, DerFunction, DerState, FrequencyDroop, TripCurves, TripPoint, functions_of
from pyiso15118.errors import LocalProtocolError
from pyiso15118.events import (
    BptChannel,
    ControlMode,
    DerNameplateReceived,
    DerStateReceived,
    EndReason,
    EnergyService,
    EnergyServiceSelected,
    GeneratorMode,
    GridCodeReceived,
    GridCodeSent,
    GridCodeWaits,
    MobilityNeedsMode,
)
from pyiso15118.messages import Namespace
from pyiso15118.secc.config import ParameterSet, ServiceOffer
from pyiso15118.v2gtp import PayloadType
from support.grid_codes import AT_WORK, CODE, IEC_CODE, NAMEPLATE, SET_VAR, VOLT_VAR, der_offer, is_close

from .conftest import AC_VEHICLE

DER = (EnergyService.AC_DER_IEC, EnergyService.AC_DER_SAE)
CODES = {EnergyService.AC_DER_IEC: IEC_CODE, EnergyService.AC_DER_SAE: CODE}


def offers(service: EnergyService) -> tuple[ServiceOffer, ...]:
    return (
        der_offer(service),
        ServiceOffer(service=EnergyService.AC, parameter_sets=(ParameterSet(id=1, nominal_voltage_v=230),)),
    )


@pytest.fixture
def plugged(pair: Any, station: Any) -> Any:
    """A pair at a station of one DER service. ``code`` and ``nameplate`` as wanted."""

    def plug(service: EnergyService, *, code: Any = None, nameplate: Any = NAMEPLATE, **config: Any) -> Any:
        code = code or CODES[service]
        secc = {"grid_code": code, "ac_nominal_frequency_hz": code.nominal_frequency_hz}
        owner = station(offers(service), **secc, **config.pop("secc_config", {}))
        session = pair(owner, **({"services": (service,), "der": nameplate} | config))
        session.vehicle = {"ac": replace(AC_VEHICLE, der=AT_WORK)}
        return session

    return plug


@pytest.mark.parametrize("mode", ControlMode)
@pytest.mark.parametrize("service", DER)
def test_a_whole_session_hands_the_code_over(plugged: Any, service: EnergyService, mode: ControlMode) -> None:
    session = plugged(service, control_modes=(mode,)).run()
    session.check_ended_well()
    assert session.end.reason is EndReason.STOPPED
    (selected,) = {e for e in session.told_of(EnergyServiceSelected) if e in session.events}
    assert (selected.service, selected.control_mode) == (service, mode)
    (received,) = session.told_of(GridCodeReceived)
    (sent,) = session.told_of(GridCodeSent)
    assert sent.code == CODES[service]
    assert functions_of(received.code) == functions_of(CODES[service])
    assert is_close(received.code.frequency_droop, CODES[service].frequency_droop)
    assert not sent.left_out
    names = {type(request.CLReqControlMode).__name__ for request in session.requests("AC_ChargeLoopReq")}
    kind = "Scheduled" if mode is ControlMode.SCHEDULED else "Dynamic"
    assert names == {f"DER_{kind}_AC_CLReqControlMode"}


def test_the_messages_travel_under_the_payload_types_of_their_own(plugged: Any) -> None:
    for service, expected in zip(DER, (PayloadType.DER_IEC, PayloadType.DER_SAE), strict=True):
        session = plugged(service)
        seen: set[int] = set()
        take = session.secc.receive_data

        def spy(data: bytes, now: float, take: Any = take, seen: set[int] = seen) -> None:
            seen.add(int.from_bytes(data[2:4], "big"))
            take(data, now)

        session.secc.receive_data = spy
        session.run()
        assert seen == {PayloadType.SAP, PayloadType.MAINSTREAM, expected}
        assert session.secc.session.protocol in (Namespace.AC_DER_IEC, Namespace.AC_DER_SAE)


@pytest.mark.parametrize("service", DER)
def test_a_vehicle_with_wishes_for_bpt_takes_der_which_has_no_such_parameters(
    plugged: Any, service: EnergyService
) -> None:
    wishes = {"bpt_channels": (BptChannel.SEPARATED,), "generator_modes": (GeneratorMode.GRID_FORMING,)}
    session = plugged(service, **wishes).run()
    session.check_ended_well()
    assert session.told_of(EnergyServiceSelected)[0].service is service


def test_needs_by_the_station_go_with_der_too(plugged: Any) -> None:
    session = plugged(
        EnergyService.AC_DER_SAE,
        control_modes=(ControlMode.DYNAMIC,),
        mobility_needs_modes=(MobilityNeedsMode.BY_SECC,),
    ).run()
    session.check_ended_well()
    assert session.loop_answers[-1].needs.target_soc_pct == 80


def test_a_station_with_both_serves_a_vehicle_without_der_as_before(plugged: Any, pair: Any) -> None:
    owner = plugged(EnergyService.AC_DER_SAE).station
    session = pair(owner, services=(EnergyService.AC,)).run()
    session.check_ended_well()
    assert session.told_of(EnergyServiceSelected)[0].service is EnergyService.AC
    assert not session.told_of(GridCodeSent)


def test_the_nameplate_arrives_with_what_can_be_measured_by_it(plugged: Any) -> None:
    (event,) = plugged(EnergyService.AC_DER_SAE).run().told_of(DerNameplateReceived)
    assert event.nameplate.functions == NAMEPLATE.functions & frozenset(DerFunction) - {
        DerFunction.WATT_POWER_FACTOR,
        DerFunction.DC_INJECTION,
        DerFunction.OVER_VOLTAGE_SUPPORT,
        DerFunction.UNDER_VOLTAGE_SUPPORT,
    }
    assert replace(event.nameplate, functions=NAMEPLATE.functions) == NAMEPLATE


def test_a_change_goes_out_with_the_loop_and_once(plugged: Any) -> None:
    session = plugged(EnergyService.AC_DER_SAE, loops=9).looped(2)
    steeper = replace(CODE, frequency_droop=FrequencyDroop(k_of=0.02))
    session.station.command(SetGridCode(code=steeper))
    session.run()
    session.check_ended_well()
    discovered, changed = session.told_of(GridCodeReceived)
    assert (discovered.in_loop, changed.in_loop) == (False, True)
    assert changed.code.frequency_droop.k_of == pytest.approx(0.02)
    assert changed.code.must_trip == discovered.code.must_trip
    assert [e.in_loop for e in session.told_of(GridCodeSent)] == [False, True]


def test_a_service_that_is_not_permitted_any_more_is_told_with_the_next_turn(plugged: Any) -> None:
    session = plugged(EnergyService.AC_DER_SAE, loops=9).looped(2)
    for permitted in (False, True):
        code = replace(CODE, enter_service=replace(CODE.enter_service, permitted=permitted))
        session.station.command(SetGridCode(code=code))
        session.looped(2)
        assert session.told_of(GridCodeReceived)[-1].code.enter_service.permitted is permitted


def test_iec_says_set_points_in_the_loop_and_tells_what_has_to_wait(plugged: Any) -> None:
    session = plugged(EnergyService.AC_DER_IEC, loops=12).looped(2)
    session.station.command(SetGridCode(code=replace(IEC_CODE, discharge_limit_pu=0.5)))
    session.looped(2)
    assert session.told_of(GridCodeReceived)[-1].code.discharge_limit_pu == pytest.approx(0.5)
    assert not session.told_of(GridCodeWaits)
    steeper = replace(IEC_CODE, frequency_droop=FrequencyDroop(k_of=0.02), discharge_limit_pu=0.5)
    session.station.command(SetGridCode(code=steeper))
    session.looped(2)
    assert [e.functions for e in session.told_of(GridCodeWaits)] == [(DerFunction.FREQUENCY_DROOP,)]
    session.command(RenegotiateService())
    session.run()
    session.check_ended_well()
    last = [e for e in session.told_of(GridCodeReceived) if not e.in_loop][-1]
    assert last.code.frequency_droop.k_of == pytest.approx(0.02, rel=1e-3)


def test_iec_names_what_it_leaves_out(plugged: Any) -> None:
    session = plugged(EnergyService.AC_DER_IEC, code=CODE).run()
    (sent,) = session.told_of(GridCodeSent)
    assert DerFunction.ENTER_SERVICE in sent.left_out
    assert DerFunction.UNDER_VOLTAGE_MUST_TRIP in sent.left_out
    (received,) = session.told_of(GridCodeReceived)
    assert received.code.must_trip == TripCurves()


def test_the_station_hears_what_the_inverter_does_and_once_each(plugged: Any) -> None:
    session = plugged(EnergyService.AC_DER_SAE, loops=20).looped(3)
    tripped = replace(AT_WORK, in_service=False, connected=False, alarms=DerAlarm.UNDER_VOLTAGE)
    session.command(replace(AC_VEHICLE, der=tripped))
    session.looped(3)
    session.command(replace(AC_VEHICLE, der=replace(tripped, present_voltage_v=160.0)))
    session.looped(3)
    states = session.told_of(DerStateReceived)
    assert [(e.state.in_service, e.state.alarms) for e in states] == [
        (True, DerAlarm(0)),
        (False, DerAlarm.UNDER_VOLTAGE),
    ]
    assert states[0].not_enabled == ()


def test_functions_that_the_vehicle_does_not_carry_out_are_named(plugged: Any) -> None:
    session = plugged(EnergyService.AC_DER_SAE, code=VOLT_VAR)
    lazy = DerState(
        present_voltage_v=230.0,
        present_frequency_hz=60.0,
        in_service=True,
        connected=True,
        enabled=functions_of(VOLT_VAR) - {DerFunction.VOLT_VAR},
    )
    session.vehicle = {"ac": replace(AC_VEHICLE, der=lazy)}
    session.run()
    assert session.told_of(DerStateReceived)[0].not_enabled == (DerFunction.VOLT_VAR,)


def test_iec_tells_a_grid_event_and_nothing_else(plugged: Any) -> None:
    session = plugged(EnergyService.AC_DER_IEC)
    session.vehicle = {"ac": replace(AC_VEHICLE, der=DerState(grid_event=True))}
    session.run()
    assert [e.state for e in session.told_of(DerStateReceived)] == [DerState(grid_event=True)]


@pytest.mark.parametrize("service", DER)
def test_standby_and_a_new_schedule_leave_the_code_standing(plugged: Any, service: EnergyService) -> None:
    session = plugged(service, loops=20, control_modes=(ControlMode.SCHEDULED,)).looped(2)
    session.command(EnterStandby())
    session.looped(2)
    session.command(LeaveStandby())
    session.looped(2)
    session.command(RenegotiateSchedule())
    session.run()
    session.check_ended_well()
    assert session.end.reason is EndReason.STOPPED
    assert len(session.told_of(GridCodeReceived)) == 1


@pytest.mark.parametrize("service", DER)
def test_a_paused_session_goes_on_and_hands_the_code_of_that_day_over(
    plugged: Any, pair: Any, service: EnergyService
) -> None:
    plain = {"resume_without_certificate": True}
    first = plugged(service, loops=9, secc_config=plain, **plain).looped(2)
    first.command(PauseCharging())
    first.run()
    assert (first.end.reason, first.secc_end.reason) == (EndReason.PAUSED, EndReason.PAUSED)
    owner = first.station
    stronger = replace(CODES[service], frequency_droop=FrequencyDroop(k_of=0.03))
    owner.config = replace(owner.config, grid_code=stronger)
    second = pair(
        owner,
        at=first.now + 60.0,
        services=(service,),
        der=NAMEPLATE,
        secc={"paused": first.secc.paused},
        evcc={"paused": first.machine.paused},
        **plain,
    )
    second.vehicle = {"ac": replace(AC_VEHICLE, der=AT_WORK)}
    second.run()
    second.check_ended_well()
    assert second.sent[:4] == [
        "supportedAppProtocolReq",
        "SessionSetupReq",
        "AC_ChargeParameterDiscoveryReq",
        "ScheduleExchangeReq",
    ]
    (received,) = second.told_of(GridCodeReceived)
    assert received.code.frequency_droop.k_of == pytest.approx(0.03, rel=1e-3)


def test_a_vehicle_that_lacks_a_function_is_refused_and_told_which(plugged: Any) -> None:
    able = replace(NAMEPLATE, functions=NAMEPLATE.functions - {DerFunction.UNDER_VOLTAGE_MUST_TRIP})
    session = plugged(EnergyService.AC_DER_SAE, nameplate=able).run()
    session.check_ended_well()
    assert session.secc_end.response_code == "FAILED_WrongChargeParameter"
    assert "under-voltage trip" in session.secc_end.detail


def test_under_iec_such_a_vehicle_takes_no_parameter_set(plugged: Any) -> None:
    able = replace(NAMEPLATE, functions=NAMEPLATE.functions - {DerFunction.VOLT_VAR})
    session = plugged(EnergyService.AC_DER_IEC, nameplate=able).run()
    assert session.end.reason is EndReason.FAILED_BY_US
    assert "no parameter set" in session.end.detail


def test_a_vehicle_gives_up_where_the_station_does_not_heed_what_it_lacks(
    plugged: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyiso15118.secc import handlers_der

    monkeypatch.setattr(handlers_der, "sae_functions", lambda bits: frozenset(DerFunction))
    able = replace(NAMEPLATE, functions=NAMEPLATE.functions - {DerFunction.ENTER_SERVICE})
    session = plugged(EnergyService.AC_DER_SAE, nameplate=able).run()
    session.check_ended_well()
    assert session.end.reason is EndReason.FAILED_BY_US
    assert "enter service" in session.end.detail
    assert "PowerDeliveryReq" not in session.sent


def test_a_code_that_contradicts_itself_ends_the_session_before_energy_flows(
    plugged: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyiso15118.secc import handlers_der

    wrong = replace(CODE, must_trip=replace(CODE.must_trip, under_voltage=(TripPoint(0.5, 21.0), TripPoint(0.88, 2.0))))
    wrong = replace(wrong, may_trip=TripCurves())
    monkeypatch.setattr(handlers_der, "grid_code", lambda situation: wrong)
    monkeypatch.setattr("pyiso15118.der.sae.steps", lambda points, over: points)
    monkeypatch.setattr("pyiso15118.der.sae_reading.steps", lambda points, over: points)
    session = plugged(EnergyService.AC_DER_SAE).run()
    session.check_ended_well()
    assert session.end.reason is EndReason.FAILED_BY_US
    assert "contradicts itself" in session.end.detail
    assert "PowerDeliveryReq" not in session.sent


def test_an_owner_hears_at_once_what_cannot_be(plugged: Any, pair: Any, station: Any) -> None:
    session = plugged(EnergyService.AC_DER_SAE)
    wrong = replace(CODE, must_trip=TripCurves(under_voltage=(TripPoint(1.2, 1.0),)))
    with pytest.raises(LocalProtocolError, match="wrong side"):
        session.station.command(SetGridCode(code=wrong))
    with pytest.raises(LocalProtocolError, match="is for 50 Hz"):
        session.station.command(SetGridCode(code=IEC_CODE))
    with pytest.raises(LocalProtocolError, match="needs grid_code"):
        station(offers(EnergyService.AC_DER_SAE))
    with pytest.raises(LocalProtocolError, match="counts by 277 V"):
        station(offers(EnergyService.AC_DER_SAE), grid_code=replace(CODE, nominal_voltage_v=277.0))
    plain = pair(station(offers(EnergyService.AC_DER_SAE)[1:]), services=(EnergyService.AC,))
    with pytest.raises(LocalProtocolError, match="neither"):
        plain.station.command(SetGridCode(code=SET_VAR))


def test_a_vehicle_without_a_nameplate_or_a_state_is_no_der(pair: Any, station: Any, plugged: Any) -> None:
    with pytest.raises(LocalProtocolError, match="nameplate"):
        pair(services=(EnergyService.AC_DER_SAE,))
    session = plugged(EnergyService.AC_DER_SAE)
    session.vehicle = {"ac": AC_VEHICLE}
    session.run()
    assert session.end.reason is EndReason.FAILED_BY_US
    assert "UpdateAcVehicle.der" in session.end.detail
