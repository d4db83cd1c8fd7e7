"""Which protocol, service, parameter set and value-added services the vehicle takes."""

from typing import Any

import msgspec
import pytest

from pyiso15118.evcc import EvccConfig
from pyiso15118.evcc.choice import best_parameters
from pyiso15118.events import (
    AcLimits,
    AcPower,
    BptChannel,
    ControlMode,
    EndReason,
    EnergyService,
    EnergyServiceSelected,
    EvseLimitsReceived,
    GeneratorMode,
    MobilityNeedsMode,
    MobilityNeedsReceived,
    ProtocolAgreed,
)
from pyiso15118.messages import common_messages as cm

AC, DC, AC_BPT, DC_BPT = EnergyService.AC, EnergyService.DC, EnergyService.AC_BPT, EnergyService.DC_BPT
MCS, MCS_BPT = EnergyService.MCS, EnergyService.MCS_BPT
SCHEDULED, DYNAMIC = ControlMode.SCHEDULED, ControlMode.DYNAMIC


def parameter_set(set_id: int, kind: str = "intValue", **values: int) -> cm.ParameterSetType:
    parameters = [cm.ParameterType(Name=name, **{kind: value}) for name, value in values.items()]
    return cm.ParameterSetType(ParameterSetID=set_id, Parameter=parameters)


# ---- protocol -----------------------------------------------------------------------------------------------------


def test_the_namespaces_of_the_wanted_services_are_offered_by_preference(bench: Any) -> None:
    session = bench(services=(AC_BPT, DC_BPT, AC, DC)).run()
    (request,) = session.requests("supportedAppProtocolReq")
    offered = [(p.ProtocolNamespace[-2:], p.SchemaID, p.Priority) for p in request.AppProtocol]
    assert offered == [("AC", 1, 1), ("DC", 2, 2)]
    assert session.told_of(ProtocolAgreed)[0].schema_id == 2, "this EVSE has DC only"
    assert session.told_of(EnergyServiceSelected)[0].service is DC_BPT


def test_what_the_evse_picks_limits_the_services(bench: Any, evse: Any) -> None:
    """An EVSE that speaks DC and lists AC is not followed there."""
    station = evse((AC_BPT, DC))
    station.bend("supportedAppProtocolRes", lambda m: msgspec.structs.replace(m, SchemaID=2))
    session = bench(station, services=(AC_BPT, DC)).run()
    assert session.told_of(EnergyServiceSelected)[0].service is DC


@pytest.mark.parametrize("service", [service for service in EnergyService if not service.is_der])
@pytest.mark.parametrize("mode", list(ControlMode))
@pytest.mark.parametrize("mobility", list(MobilityNeedsMode))
def test_every_service_in_every_mode(
    bench: Any, evse: Any, service: EnergyService, mode: ControlMode, mobility: MobilityNeedsMode
) -> None:
    session = bench(evse((service,), mode, mobility), services=(service,)).run()
    assert session.end.reason is EndReason.STOPPED
    (selected,) = session.told_of(EnergyServiceSelected)
    assert (selected.service, selected.control_mode, selected.mobility_needs_mode) == (service, mode, mobility)
    assert len(session.loop_answers) == 3
    assert session.progress == ["Start", "Stop"]
    assert ("DC_CableCheckReq" in session.sent) is not service.is_ac
    assert ("DC_WeldingDetectionReq" in session.sent) is not service.is_ac
    by_secc = mode is DYNAMIC and mobility is MobilityNeedsMode.BY_SECC
    assert bool(session.told_of(MobilityNeedsReceived)) is by_secc
    if by_secc:
        needs = session.told_of(MobilityNeedsReceived)[0].needs
        assert (needs.departure_time_s, needs.target_soc_pct, needs.target_energy_wh) == (7200, 80, None)
    (loop, *_) = session.requests("AC_ChargeLoopReq" if service.is_ac else "DC_ChargeLoopReq")
    kind = type(loop.CLReqControlMode).__name__
    assert kind.startswith("BPT_") is service.is_bpt
    assert ("Scheduled" in kind) is (mode is SCHEDULED)


# ---- service and parameter set ------------------------------------------------------------------------------------


def test_the_first_wanted_service_that_is_offered_is_taken(bench: Any, evse: Any) -> None:
    session = bench(evse((DC,))).run()
    assert session.told_of(EnergyServiceSelected)[0].service is DC


def test_no_common_service_ends_the_session_properly(bench: Any, evse: Any) -> None:
    session = bench(evse((DC,)), services=(DC_BPT,)).run()
    assert session.sent[-1] == "SessionStopReq"
    assert session.end.reason is EndReason.FAILED_BY_US
    assert "none that this vehicle wants" in session.end.detail


def test_a_service_without_a_usable_mode_leads_to_the_next_one(bench: Any, scheduled: Any) -> None:
    session = bench(scheduled, control_modes=(DYNAMIC,)).run()
    assert [r.ServiceID for r in session.requests("ServiceDetailReq")] == [DC_BPT, DC]
    assert session.sent[-1] == "SessionStopReq"
    assert "no parameter set for DC that this vehicle can use" in session.end.detail


SETS = [
    parameter_set(1, ControlMode=1, MobilityNeedsMode=1, BPTChannel=1, GeneratorMode=1),
    parameter_set(2, ControlMode=2, MobilityNeedsMode=2, BPTChannel=1, GeneratorMode=1),
    parameter_set(3, ControlMode=2, MobilityNeedsMode=1, BPTChannel=2, GeneratorMode=1),
    parameter_set(4, ControlMode=2, MobilityNeedsMode=1, BPTChannel=1, GeneratorMode=2),
    parameter_set(5, ControlMode=2, MobilityNeedsMode=1, BPTChannel=1, GeneratorMode=1),
]


@pytest.mark.parametrize(
    ("preferences", "taken"),
    [
        ({}, 5),
        ({"control_modes": (SCHEDULED, DYNAMIC)}, 1),
        ({"control_modes": (SCHEDULED,)}, 1),
        ({"mobility_needs_modes": (MobilityNeedsMode.BY_SECC, MobilityNeedsMode.BY_EVCC)}, 2),
        ({"bpt_channels": (BptChannel.SEPARATED,)}, 3),
        ({"generator_modes": (GeneratorMode.GRID_FORMING, GeneratorMode.GRID_FOLLOWING)}, 4),
        ({"control_modes": (SCHEDULED,), "bpt_channels": (BptChannel.SEPARATED,)}, None),
    ],
)
def test_the_best_parameter_set_is_taken_whatever_their_order(preferences: dict[str, Any], taken: int | None) -> None:
    config = EvccConfig(evccid="X", **preferences)
    for sets in (SETS, SETS[::-1]):
        best = best_parameters(sets, DC_BPT, config)
        assert (None if best is None else best.id) == taken


def test_bidirectional_parameters_count_for_bidirectional_services_only() -> None:
    config = EvccConfig(evccid="X", bpt_channels=(BptChannel.SEPARATED,))
    sets = [parameter_set(9, ControlMode=2, MobilityNeedsMode=1, BPTChannel=9, GeneratorMode=7)]
    assert best_parameters(sets, DC_BPT, config) is None
    best = best_parameters(sets, DC, config)
    assert best is not None
    assert best.id == 9


@pytest.mark.parametrize("kind", ["intValue", "shortValue", "byteValue"])
def test_parameters_may_have_any_width_and_come_twice(kind: str) -> None:
    sets = [
        cm.ParameterSetType(
            ParameterSetID=3,
            Parameter=[
                *parameter_set(3, kind, ControlMode=1).Parameter,
                cm.ParameterType(Name="Name", finiteString="x"),
                *parameter_set(3, kind, ControlMode=2, MobilityNeedsMode=2).Parameter,
            ],
        )
    ]
    best = best_parameters(sets, DC, EvccConfig(evccid="X"))
    assert best is not None
    assert (best.control_mode, best.mobility_needs_mode) == (DYNAMIC, MobilityNeedsMode.BY_SECC)


@pytest.mark.parametrize(
    "values", [{}, {"ControlMode": 0}, {"ControlMode": 3}, {"ControlMode": 2, "MobilityNeedsMode": 9}]
)
def test_parameter_sets_of_an_unknown_kind_are_passed_over(values: dict[str, int]) -> None:
    sets = [parameter_set(1, Connector=2, **values), parameter_set(2, ControlMode=2)]
    best = best_parameters(sets, DC, EvccConfig(evccid="X"))
    assert best is not None
    assert best.id == 2


# ---- value-added services -----------------------------------------------------------------------------------------


def test_wanted_value_added_services_are_looked_at_and_selected_with_their_first_set(bench: Any, evse: Any) -> None:
    station = evse()
    station.value_added = [66, 65, 100]
    session = bench(station, value_added=(65, 200, 100)).run()
    assert [r.ServiceID for r in session.requests("ServiceDetailReq")] == [DC_BPT, 65, 100]
    (selection,) = session.requests("ServiceSelectionReq")
    selected = [(s.ServiceID, s.ParameterSetID) for s in selection.SelectedVASList.SelectedService]
    assert selected == [(65, 650), (100, 1000)]
    assert session.told_of(EnergyServiceSelected)[0].value_added == ((65, 650), (100, 1000))
    assert session.end.reason is EndReason.STOPPED


@pytest.mark.parametrize(("offered", "wanted"), [([], (65,)), ([66], (65,)), ([65], ())])
def test_without_a_common_value_added_service_none_is_selected(
    bench: Any, evse: Any, offered: list[int], wanted: tuple[int, ...]
) -> None:
    station = evse()
    station.value_added = offered
    session = bench(station, value_added=wanted).run()
    assert session.requests("ServiceSelectionReq")[0].SelectedVASList is None
    assert session.told_of(EnergyServiceSelected)[0].value_added == ()


# ---- AC and MCS ---------------------------------------------------------------------------------------------------


def test_ac_goes_from_the_schedule_to_power_delivery_and_from_there_to_the_end(bench: Any, evse: Any) -> None:
    session = bench(evse((AC,)), services=(AC,)).run()
    names = session.sent_once
    at = names.index("ScheduleExchangeReq")
    assert names[at:] == [
        "ScheduleExchangeReq",
        "PowerDeliveryReq",
        "AC_ChargeLoopReq",
        "PowerDeliveryReq",
        "SessionStopReq",
    ]


def test_ac_limits_and_targets_reach_the_owner_by_phase(bench: Any, evse: Any) -> None:
    station = evse((AC_BPT,))
    station.sign = -1
    session = bench(station, services=(AC_BPT,)).run()
    (received,) = session.told_of(EvseLimitsReceived)
    assert received.nominal_frequency_hz == 60
    assert received.limits == AcLimits(
        max_charge_power=AcPower(7_000, 7_000, 7_000), max_discharge_power=AcPower(6_000)
    )
    assert session.loop_answers[0].target_active_power == AcPower(5_000)
    assert session.loop_answers[0].meter is None


def test_what_an_ac_vehicle_measures_and_can_do_is_sent_by_phase(bench: Any, evse: Any) -> None:
    session = bench(evse((AC_BPT,)), services=(AC_BPT,), negative_discharge_limits=True).run()
    mode = session.requests("AC_ChargeLoopReq")[0].CLReqControlMode
    present = [mode.EVPresentActivePower, mode.EVPresentActivePower_L2, mode.EVPresentActivePower_L3]
    assert [float(p) for p in present] == [1_000, 1_100, 1_200]
    assert float(mode.EVPresentReactivePower) == -50
    assert mode.EVPresentReactivePower_L2 is None
    assert float(mode.EVMaximumDischargePower_L3) == -3_000
    discovery = session.requests("AC_ChargeParameterDiscoveryReq")[0].AC_CPDReqEnergyTransferMode
    assert float(discovery.EVMaximumDischargePower) == -3_000
    assert discovery.EVMinimumChargePower_L2 is None


@pytest.mark.parametrize("service", [MCS, MCS_BPT])
def test_megawatt_charging_speaks_the_dc_messages(bench: Any, evse: Any, service: EnergyService) -> None:
    session = bench(evse((service,)), services=(service,)).run()
    assert "DC_ChargeLoopReq" in session.sent
    assert session.told_of(EnergyServiceSelected)[0].service is service
