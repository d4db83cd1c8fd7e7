"""Which services are offered under which protocol, how they are selected, and value-added services beside them."""

from typing import Any

import pytest

from pyiso15118.events import ControlMode, EnergyService, EnergyServiceSelected, MobilityNeedsMode
from pyiso15118.messages import app_protocol
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages import common_types as ct
from pyiso15118.secc import ParameterSet, ServiceOffer, State, ValueAddedOffer, ValueAddedSet

Code = ct.responseCodeType
SERVICES = [service for service in EnergyService if not service.is_der]
BOTH = {
    "services": tuple(ServiceOffer(service=service) for service in SERVICES),
    "limits": None,
}
INTERNET = ValueAddedOffer(
    service_id=65,
    parameter_sets=(
        ValueAddedSet(id=3, parameters=(("Protocol", "https"), ("Port", 443), ("Free", True), ("x", 0.5))),
    ),
    free=True,
)


def ranked(*namespaces: str) -> Any:
    return app_protocol.supportedAppProtocolReq(
        AppProtocol=[
            app_protocol.AppProtocolType(
                ProtocolNamespace=f"urn:iso:std:iso:15118:-20:{name}",
                VersionNumberMajor=1,
                VersionNumberMinor=0,
                SchemaID=number,
                Priority=number,
            )
            for number, name in enumerate(namespaces, 1)
        ]
    )


def everything(secc_bench: Any, evse_limits: Any, ac_limits: Any, **config: Any) -> Any:
    services = BOTH | {"limits": evse_limits, "ac_limits": ac_limits, "ac_nominal_frequency_hz": 60.0}
    return secc_bench(**(services | config))


@pytest.mark.parametrize(
    ("spoken", "chosen", "offered"),
    [
        (("AC", "DC"), 1, [1, 5]),
        (("DC", "AC"), 1, [2, 6, 8, 9]),
        (("WPT", "DC"), 2, [2, 6, 8, 9]),
        (("ACDP", "AC"), 2, [1, 5]),
    ],
)
def test_the_protocol_decides_which_services_are_offered(
    secc_bench: Any, evse_limits: Any, ac_limits: Any, spoken: tuple[str, ...], chosen: int, offered: list[int]
) -> None:
    bench = everything(secc_bench, evse_limits, ac_limits)
    assert bench.ask(ranked(*spoken)).SchemaID == chosen
    bench.reach(State.SERVICE_DISCOVERY)
    discovery = bench.ask(bench.request(State.SERVICE_DISCOVERY))
    assert [s.ServiceID for s in discovery.EnergyTransferServiceList.Service] == offered


@pytest.mark.parametrize("service", SERVICES)
def test_only_protocols_of_offered_services_are_spoken(secc_bench: Any, service: EnergyService) -> None:
    other = "DC" if service.is_ac else "AC"
    assert secc_bench(service=service).ask(ranked(other)).ResponseCode == "Failed_NoNegotiation"
    assert secc_bench(service=service).ask(ranked(other, "AC" if service.is_ac else "DC")).SchemaID == 2


@pytest.mark.parametrize("service", [EnergyService.AC, EnergyService.AC_BPT])
def test_services_of_the_other_protocol_cannot_be_asked_for_or_selected(
    secc_bench: Any, evse_limits: Any, ac_limits: Any, service: EnergyService
) -> None:
    bench = everything(secc_bench, evse_limits, ac_limits).reach(State.SERVICE_DETAIL)
    response = bench.ask(bench.request(State.SERVICE_DETAIL, ServiceID=int(service)))
    assert response.ResponseCode is Code.FAILED_ServiceIDInvalid
    bench = everything(secc_bench, evse_limits, ac_limits).reach(State.SERVICE_SELECTION)
    chosen = cm.SelectedServiceType(ServiceID=int(service), ParameterSetID=1)
    response = bench.ask(bench.request(State.SERVICE_SELECTION, SelectedEnergyTransferService=chosen))
    assert response.ResponseCode is Code.FAILED_ServiceSelectionInvalid


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_reaches_its_loop(secc_bench: Any, service: EnergyService) -> None:
    for mode in ControlMode:
        bench = secc_bench(service=service, parameter_set=ParameterSet(id=1, control_mode=mode))
        bench.reach(State.CHARGE_LOOP)
        assert bench.ask(bench.request(State.CHARGE_LOOP)).ResponseCode is Code.OK
        chosen = next(e for e in bench.told if isinstance(e, EnergyServiceSelected))
        assert (chosen.service, chosen.control_mode) == (service, mode)


@pytest.mark.parametrize("state", [s for s in State if s not in (State.ENDED, State.SESSION_STOP)])
def test_a_dc_request_in_an_ac_session_gets_a_sequence_error(secc_bench: Any, state: State) -> None:
    if state in (State.CABLE_CHECK, State.PRE_CHARGE, State.WELDING_DETECTION):
        return
    dc = secc_bench()
    for name in (State.CHARGE_PARAMETER_DISCOVERY, State.CABLE_CHECK, State.CHARGE_LOOP, State.WELDING_DETECTION):
        bench = secc_bench(service=EnergyService.AC).reach(state)
        request = dc.request(name, Header=bench.header())
        assert bench.ask(request).ResponseCode is Code.FAILED_SequenceError
        assert "DC_" not in bench.end.detail.partition("where")[2]


def test_parameter_sets_say_how_a_service_is_used(secc_bench: Any) -> None:
    used = ParameterSet(
        id=1,
        control_mode=ControlMode.SCHEDULED,
        mobility_needs_mode=MobilityNeedsMode.BY_EVCC,
        connector=3,
        nominal_voltage_v=230,
        islanding_detection=2,
        others=(("Extra", 9),),
    )
    bench = secc_bench(service=EnergyService.AC_BPT, parameter_set=used).reach(State.SERVICE_DETAIL)
    (shown,) = bench.ask(bench.request(State.SERVICE_DETAIL)).ServiceParameterList.ParameterSet
    assert {p.Name: p.intValue for p in shown.Parameter} == {
        "Connector": 3,
        "ControlMode": 1,
        "MobilityNeedsMode": 1,
        "Pricing": 0,
        "EVSENominalVoltage": 230,
        "BPTChannel": 1,
        "GeneratorMode": 1,
        "DetectionMethodGridCodeIslanding": 2,
        "Extra": 9,
    }


# ---- value-added services ----


def test_value_added_services_are_listed_described_and_selected(secc_bench: Any) -> None:
    bench = secc_bench(value_added=(INTERNET,)).reach(State.SERVICE_DISCOVERY)
    discovery = bench.ask(bench.request(State.SERVICE_DISCOVERY))
    assert [(s.ServiceID, s.FreeService) for s in discovery.VASList.Service] == [(65, True)]
    detail = bench.ask(bench.request(State.SERVICE_DETAIL, ServiceID=65))
    (shown,) = detail.ServiceParameterList.ParameterSet
    values = [(p.Name, p.finiteString or p.intValue or p.boolValue or float(p.rationalNumber)) for p in shown.Parameter]
    assert (shown.ParameterSetID, values) == (3, [("Protocol", "https"), ("Port", 443), ("Free", True), ("x", 0.5)])
    extra = cm.SelectedServiceListType(SelectedService=[cm.SelectedServiceType(ServiceID=65, ParameterSetID=3)])
    response = bench.ask(bench.request(State.SERVICE_SELECTION, SelectedVASList=extra))
    assert response.ResponseCode is Code.OK
    assert bench.told[-1].value_added == ((65, 3),)


@pytest.mark.parametrize(("service_id", "set_id"), [(65, 1), (66, 3), (6, 1)])
def test_value_added_services_that_were_not_offered_fail(secc_bench: Any, service_id: int, set_id: int) -> None:
    bench = secc_bench(value_added=(INTERNET,)).reach(State.SERVICE_SELECTION)
    extra = cm.SelectedServiceListType(
        SelectedService=[cm.SelectedServiceType(ServiceID=service_id, ParameterSetID=set_id)]
    )
    response = bench.ask(bench.request(State.SERVICE_SELECTION, SelectedVASList=extra))
    assert response.ResponseCode is Code.FAILED_ServiceSelectionInvalid
    assert f"value-added service {service_id} with parameter set {set_id}" in bench.end.detail


@pytest.mark.parametrize(("named", "listed"), [([6, 65], [65]), ([6], None), ([6, 66], None)])
def test_value_added_services_are_limited_to_those_the_vehicle_names(
    secc_bench: Any, named: list[int], listed: list[int] | None
) -> None:
    bench = secc_bench(value_added=(INTERNET,)).reach(State.SERVICE_DISCOVERY)
    request = bench.request(State.SERVICE_DISCOVERY, SupportedServiceIDs=cm.ServiceIDListType(ServiceID=named))
    shown = bench.ask(request).VASList
    assert (shown and [s.ServiceID for s in shown.Service]) == listed


def test_a_value_added_service_is_no_energy_service(secc_bench: Any) -> None:
    bench = secc_bench(value_added=(INTERNET,)).reach(State.SERVICE_SELECTION)
    chosen = cm.SelectedServiceType(ServiceID=65, ParameterSetID=3)
    response = bench.ask(bench.request(State.SERVICE_SELECTION, SelectedEnergyTransferService=chosen))
    assert response.ResponseCode is Code.FAILED_NoEnergyTransferServiceSelected
