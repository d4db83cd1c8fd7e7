"""Megawatt charging, ours against ours, with the values of a lorry: 3.75 MW, 3000 A and 1250 V at the EVSE."""

import datetime
from dataclasses import replace
from typing import Any

import pytest

from pyiso15118.commands import (
    EnterStandby,
    LeaveStandby,
    PauseCharging,
    RenegotiateSchedule,
    RenegotiateService,
    StopCharging,
    UpdateDcEvse,
    UpdateDcVehicle,
)
from pyiso15118.errors import LocalProtocolError
from pyiso15118.events import (
    AuthorizationRequested,
    BptChannel,
    CableCheckRequested,
    ChargingStarted,
    ControlMode,
    DcChargeLoopReceived,
    DcLimits,
    EndReason,
    EnergyNeeds,
    EnergyNeedsReceived,
    EnergyService,
    EnergyServiceSelected,
    EvseLimitsReceived,
    LimitIgnored,
    McsConnector,
    MobilityNeedsMode,
    PowerDeliveryStarted,
    PowerProfileReceived,
    SchedulesOffered,
    SessionStarted,
    SignatureVerified,
    StandbyAnswered,
    VehicleLimitsReceived,
)
from pyiso15118.messages import common_messages as cm
from pyiso15118.schedules import flat_schedule
from pyiso15118.secc import ParameterSet, SeccConfig, ServiceOffer
from pyiso15118.security import ContractCredential, Curve, KeySigner, Pki, TrustAnchors

MCS, MCS_BPT, DC_BPT = EnergyService.MCS, EnergyService.MCS_BPT, EnergyService.DC_BPT
SERVICES = [MCS, MCS_BPT]
DYNAMIC, SCHEDULED = ControlMode.DYNAMIC, ControlMode.SCHEDULED
MODES = [DYNAMIC, SCHEDULED]
PACK_V = 950.0
EVSE = DcLimits(
    max_charge_power_w=3_750_000.0,
    max_charge_current_a=3_000.0,
    max_voltage_v=1_250.0,
    min_voltage_v=200.0,
    max_discharge_power_w=3_000_000.0,
    max_discharge_current_a=3_000.0,
)
LORRY = DcLimits(
    max_charge_power_w=2_600_000.0,
    max_charge_current_a=2_800.0,
    max_voltage_v=1_100.0,
    min_voltage_v=700.0,
    max_discharge_power_w=1_900_000.0,
    max_discharge_current_a=2_000.0,
)
NEEDS = EnergyNeeds(
    departure_time_s=2_700, target_energy_wh=640_000.0, max_energy_wh=812_500.0, min_energy_wh=-210_000.0
)
VEHICLE = UpdateDcVehicle(
    present_voltage_v=PACK_V - 5.0,
    target_voltage_v=PACK_V,
    limits=LORRY,
    needs=NEEDS,
    present_soc_pct=41,
    battery_capacity_wh=1_100_000.0,
)
VEHICLE_CERTIFICATE, SECC_CERTIFICATE = b"certificate of the lorry", b"certificate of the SECC"


@pytest.fixture
def place(station: Any) -> Any:
    """Its EVSE and its schedules."""

    def make(**config: Any) -> Any:
        made = station(**({"limits": EVSE} | config))
        made.dc = UpdateDcEvse(present_voltage_v=0.0, present_current_a=0.0, limits=EVSE, contactors_closed=False)
        made.tuples = (flat_schedule(2_400_000.0, discharge_power_w=-1_800_000.0),)
        return made

    return make


@pytest.fixture
def lorry(pair: Any, place: Any) -> Any:
    """A plug-in of one lorry. ``takes``: its limits."""

    def make(service: EnergyService = MCS_BPT, at: Any = None, takes: DcLimits = LORRY, **more: Any) -> Any:
        session = pair(place() if at is None else at, **({"services": (service,)} | more))
        session.vehicle["dc"] = replace(VEHICLE, limits=takes)
        return session

    return make


def stopped(session: Any) -> Any:
    session.command(StopCharging())
    session.run()
    session.check_ended_well()
    assert (session.end.reason, session.secc_end.reason) == (EndReason.STOPPED, EndReason.STOPPED)
    return session


# ---- every way ------------------------------------------------------------------------------------------------------

WAYS = [
    (service, mode, mobility, channel)
    for service in SERVICES
    for mode in MODES
    for mobility in MobilityNeedsMode
    for channel in BptChannel
    if (mode is DYNAMIC or mobility is MobilityNeedsMode.BY_EVCC) and (service.is_bpt or channel is BptChannel.UNIFIED)
]


@pytest.mark.parametrize(
    ("service", "mode", "mobility", "channel"), WAYS, ids=["-".join(v.name for v in way) for way in WAYS]
)
def test_megawatts_reach_the_other_side_as_they_are(
    lorry: Any, service: EnergyService, mode: ControlMode, mobility: MobilityNeedsMode, channel: BptChannel
) -> None:
    session = lorry(
        service, control_modes=(mode,), mobility_needs_modes=(mobility,), bpt_channels=(channel,), loops=4
    ).run()
    session.check_ended_well()
    assert (session.end.reason, session.secc_end.reason) == (EndReason.STOPPED, EndReason.STOPPED)
    (mine, theirs) = session.told_of(EnergyServiceSelected)
    assert (mine.service, mine.control_mode, mine.mobility_needs_mode) == (service, mode, mobility)
    assert mine == theirs
    vehicle, evse = session.told_of(VehicleLimitsReceived)[0].limits, session.told_of(EvseLimitsReceived)[0].limits
    if service is MCS:
        assert vehicle == replace(LORRY, max_discharge_power_w=0.0, max_discharge_current_a=0.0)
        assert evse.max_discharge_power_w == 0
    else:
        assert vehicle == LORRY
        assert (evse.max_discharge_power_w, evse.max_discharge_current_a) == (3_000_000, 3_000)
    assert session.told_of(EnergyNeedsReceived)[0].needs.target_energy_wh == 640_000
    loop = session.told_of(DcChargeLoopReceived)[-1]
    assert (loop.limits.max_charge_power_w, loop.limits.max_charge_current_a) == (2_600_000, 2_800)
    assert loop.battery_capacity_wh == 1_100_000
    if mode is SCHEDULED:
        (offered,) = session.told_of(SchedulesOffered)
        assert offered.tuples[0].charging.power.slots[0].total_w == 2_400_000
        (profile,) = session.told_of(PowerProfileReceived)
        assert profile.profile.slots[0].power_w == 2_400_000
        assert loop.target_current_a == pytest.approx(2_400_000 / (PACK_V - 5.0), rel=1e-3)
    assert not session.told_of(LimitIgnored)
    separate = service.is_bpt and channel is BptChannel.SEPARATED
    assert session.told_of(PowerDeliveryStarted)[0].channel == ("Charge" if separate else None)


@pytest.mark.parametrize("mode", MODES)
def test_a_lorry_gives_megawatts_on_the_channel_to_discharge(lorry: Any, mode: ControlMode) -> None:
    session = lorry(control_modes=(mode,), bpt_channels=(BptChannel.SEPARATED,), loops=10_000)
    session.vehicle["dc"] = replace(session.vehicle["dc"], target_current_a=-1_890.0)
    session.looped(2)
    session.station.update(present_current_a=-1_890.0)
    session.looped(2)
    assert session.told_of(PowerDeliveryStarted)[0].channel == "Discharge"
    answer = session.loop_answers[-1]
    assert answer.evse_present_current_a == -1_890
    assert answer.limits.max_charge_power_w == 0, "the channel to charge is closed"
    if mode is SCHEDULED:
        assert session.told_of(DcChargeLoopReceived)[-1].target_current_a == -1_890
        assert session.told_of(PowerProfileReceived)[0].profile.slots[0].power_w == -1_800_000
    else:
        assert answer.limits.max_discharge_power_w == 3_000_000
    stopped(session)


# ---- the service parameters -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", SERVICES)
def test_the_connector_is_that_of_mcs(lorry: Any, service: EnergyService) -> None:
    session = lorry(service).run()
    (answer,) = [e.message for e in session.events if getattr(e, "name", "") == "ServiceDetailRes"]
    for parameter_set in answer.ServiceParameterList.ParameterSet:
        values = {p.Name: p.intValue for p in parameter_set.Parameter}
        assert values["Connector"] == McsConnector.MCS
        assert ("BPTChannel" in values) is ("GeneratorMode" in values) is service.is_bpt


def test_another_connector_of_the_family_may_be_named_and_no_other() -> None:
    def config(connector: int) -> SeccConfig:
        sets = (ParameterSet(id=1, connector=connector),)
        return SeccConfig(evse_id="E", limits=EVSE, services=(ServiceOffer(service=MCS, parameter_sets=sets),))

    assert config(McsConnector.X_MCS).services[0].parameter_sets[0].connector == 5
    with pytest.raises(LocalProtocolError, match="connector 8 of parameter set 1 is none of MCS: 1 MCS, 2 CHAOJI"):
        config(8)


# ---- the compatibility check ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("takes", "offered"),
    [
        ({}, {"max_charge_power_w": 2_600_000, "max_charge_current_a": 2_800, "max_voltage_v": 1_210}),
        ({"max_voltage_v": 1_200.0}, {"max_voltage_v": 1_250}),
        ({"max_charge_power_w": 0.0}, {"max_charge_power_w": 1_100 * 2_800}),
        (
            {"max_charge_power_w": 0.0, "max_charge_current_a": 100.0},
            {"max_charge_power_w": 200_000, "max_charge_current_a": 100},
        ),
    ],
    ids=["a lorry", "its voltage near ours", "without a word on power", "without, and little current"],
)
@pytest.mark.parametrize("service", SERVICES)
def test_a_lorry_is_offered_no_more_than_fits_it(
    lorry: Any, service: EnergyService, takes: dict[str, float], offered: dict[str, float]
) -> None:
    session = lorry(service, takes=replace(LORRY, **takes)).run()
    session.check_ended_well()
    limits = session.told_of(EvseLimitsReceived)[0].limits
    assert {name: getattr(limits, name) for name in offered} == offered
    assert session.loop_answers[-1].limits.max_charge_current_a == offered.get("max_charge_current_a", 2_800)


@pytest.mark.parametrize(("most_v", "offered_v"), [(400.0, 450.0), (480.0, 500.0), (500.0, 500.0)])
def test_a_small_voltage_bounds_the_evse_more_tightly(lorry: Any, most_v: float, offered_v: float) -> None:
    session = lorry(takes=replace(LORRY, min_voltage_v=300.0, max_voltage_v=most_v))
    session.vehicle["dc"] = replace(session.vehicle["dc"], target_voltage_v=390.0, present_voltage_v=385.0)
    session.run()
    session.check_ended_well()
    assert session.told_of(EvseLimitsReceived)[0].limits.max_voltage_v == offered_v


@pytest.mark.parametrize(
    ("least", "takes", "detail"),
    [
        ({"min_charge_current_a": 100.0}, {"max_charge_current_a": 100.0}, "least current of 100 A is not below"),
        ({"min_charge_power_w": 90_000.0}, {"max_charge_power_w": 80_000.0}, "least power of 90000 W is not below"),
        ({"min_voltage_v": 700.0}, {"max_voltage_v": 700.0}, "least voltage of 700 V is not below"),
    ],
)
def test_a_vehicle_below_the_evses_minima_is_turned_away(
    lorry: Any, place: Any, least: dict[str, float], takes: dict[str, float], detail: str
) -> None:
    session = lorry(at=place(limits=replace(EVSE, **least)), takes=replace(LORRY, **takes)).run()
    assert session.secc_end.response_code == "FAILED_WrongChargeParameter"
    assert detail in session.secc_end.detail
    assert session.end.reason is EndReason.FAILED_BY_PEER


def test_at_a_connector_of_ccs_the_ratings_are_offered_as_they_are(lorry: Any) -> None:
    session = lorry(DC_BPT).run()
    session.check_ended_well()
    assert session.told_of(EvseLimitsReceived)[0].limits == EVSE


# ---- the life of a session ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("mode", MODES)
def test_a_paused_session_goes_on(lorry: Any, place: Any, service: EnergyService, mode: ControlMode) -> None:
    both = {"control_modes": (mode,), "loops": 10_000}
    secc, evcc = {"peer_certificate": VEHICLE_CERTIFICATE}, {"peer_certificate": SECC_CERTIFICATE}
    at = place()
    first = lorry(service, at, secc=secc, evcc=evcc, **both).looped(2)
    first.command(PauseCharging())
    first.run()
    first.check_ended_well()
    assert (first.end.reason, first.secc_end.reason) == (EndReason.PAUSED, EndReason.PAUSED)
    session = lorry(
        service,
        at,
        **(both | {"secc": secc | {"paused": first.secc.paused}, "evcc": evcc | {"paused": first.machine.paused}}),
    ).looped(2)
    assert [e.resumed for e in session.told_of(SessionStarted)] == [True, True]
    assert {e.service for e in session.told_of(EnergyServiceSelected)} == {service}
    assert not session.told_of(AuthorizationRequested)
    assert session.told_of(EvseLimitsReceived)[0].limits.max_charge_power_w == 2_600_000
    stopped(session)


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("mode", MODES)
def test_standby_is_granted_and_left(lorry: Any, service: EnergyService, mode: ControlMode) -> None:
    session = lorry(service, control_modes=(mode,), loops=10_000).looped(2)
    session.command(EnterStandby())
    session.looped(3)
    assert [e.granted for e in session.told_of(StandbyAnswered)] == [True]
    session.command(LeaveStandby())
    session.looped(3)
    assert session.progress == ["Start", "Standby", "Start"]
    stopped(session)


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("mode", MODES)
def test_a_schedule_is_renegotiated(lorry: Any, service: EnergyService, mode: ControlMode) -> None:
    session = lorry(service, control_modes=(mode,), loops=10_000).looped(2)
    session.station.tuples = (flat_schedule(1_100_000.0, id=9),)
    session.command(RenegotiateSchedule())
    session.run(stop=lambda: len(session.told_of(ChargingStarted)) == 2)
    session.looped(3)
    assert session.progress == ["Start", "ScheduleRenegotiation", "Start"]
    if mode is SCHEDULED:
        assert session.told_of(PowerProfileReceived)[1].profile.slots[0].power_w == 1_100_000
    stopped(session)


@pytest.mark.parametrize(("before", "after"), [(MCS_BPT, MCS), (MCS, MCS_BPT)])
def test_the_other_service_is_agreed_and_the_cable_checked_again(
    lorry: Any, before: EnergyService, after: EnergyService
) -> None:
    session = lorry(services=(before, after), loops=10_000).looped(2)
    session.command(RenegotiateService(services=(after,)))
    session.run(stop=lambda: len(session.told_of(ChargingStarted)) == 2)
    session.looped(3)
    assert [e.service for e in session.told_of(EnergyServiceSelected)].count(after) == 2
    assert len(session.told_of(CableCheckRequested)) == 2
    stopped(session)


# ---- Plug and Charge ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("mode", MODES)
def test_a_contract_authorises(lorry: Any, place: Any, service: EnergyService, mode: ControlMode) -> None:
    pki = Pki(not_before=datetime.datetime(2023, 11, 1, tzinfo=datetime.UTC), curve=Curve.SECP521R1)
    credential = pki.contract("USV2GC123456786")
    contract = ContractCredential(
        chain=credential.chain_der(), signer=KeySigner(credential.key), emaid="USV2GC123456786"
    )
    at = place(
        authorization=(cm.authorizationType.EIM, cm.authorizationType.PnC),
        contract_anchors=TrustAnchors.from_certificates(pki.mo_root.credential.certificate),
    )
    session = lorry(service, at, control_modes=(mode,), contract=contract).run()
    session.check_ended_well()
    assert session.end.reason is EndReason.STOPPED
    assert session.told_of(AuthorizationRequested)[0].emaid == "USV2GC123456786"
    assert session.told_of(SignatureVerified)[0].message == "AuthorizationReq"
    assert session.told_of(EnergyServiceSelected)[0].service is service
