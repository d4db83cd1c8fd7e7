"""AC charging at the SECC: limits, the contactor, set-points within what was offered, the loop."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyiso15118.commands import UpdateDcEvse
from pyiso15118.errors import LocalProtocolError
from pyiso15118.events import (
    AcLimits,
    AcPower,
    BptChannel,
    ContactorRequested,
    ControlMode,
    EnergyService,
    PowerDeliveryStarted,
    PowerDeliveryStopped,
    SessionEnded,
)
from pyiso15118.messages import ac
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages import common_types as ct
from pyiso15118.secc import ParameterSet, State
from pyiso15118.secc.limits_ac import bounded

Code = ct.responseCodeType
Progress = cm.chargeProgressType
AC, AC_BPT = EnergyService.AC, EnergyService.AC_BPT
rational = ct.RationalNumberType.of


def powers(mode: Any, name: str) -> list[float | None]:
    values = [getattr(mode, name + suffix) for suffix in ("", "_L2", "_L3")]
    return [None if value is None else float(value) for value in values]


# ---- parameter discovery ----


def test_parameter_discovery_sends_the_ratings_by_phase(secc_bench: Any) -> None:
    bench = secc_bench(service=AC_BPT, ac_power_ramp_w_per_s=500.0, ac_max_power_asymmetry_w=4600.0)
    bench.reach(State.CHARGE_PARAMETER_DISCOVERY).update(present_active_power=AcPower(10.0, 20.0, 30.0))
    mode = bench.ask(bench.request(State.CHARGE_PARAMETER_DISCOVERY)).AC_CPDResEnergyTransferMode
    assert isinstance(mode, ac.BPT_AC_CPDResEnergyTransferMode)
    assert powers(mode, "EVSEMaximumChargePower") == [7_400, 7_400, 7_400]
    assert powers(mode, "EVSEMaximumDischargePower") == [5_000, 5_000, 5_000]
    assert powers(mode, "EVSEPresentActivePower") == [10, 20, 30]
    assert (float(mode.EVSENominalFrequency), float(mode.EVSEPowerRampLimitation)) == (50, 500)
    assert float(mode.MaximumPowerAsymmetry) == 4600


def test_discharge_limits_are_negative_where_configured_and_count_by_magnitude(secc_bench: Any) -> None:
    bench = secc_bench(service=AC_BPT, negative_discharge_limits=True).reach(State.CHARGE_PARAMETER_DISCOVERY)
    request = bench.request(State.CHARGE_PARAMETER_DISCOVERY)
    mode = msgspec.structs.replace(request.AC_CPDReqEnergyTransferMode, EVMaximumDischargePower=rational(-2_500))
    response = bench.ask(msgspec.structs.replace(request, AC_CPDReqEnergyTransferMode=mode))
    sent = response.AC_CPDResEnergyTransferMode
    assert powers(sent, "EVSEMaximumDischargePower") == [-5_000, -5_000, -5_000]
    assert powers(sent, "EVSEMaximumChargePower") == [7_400, 7_400, 7_400]
    assert bench.told[-1].limits.max_discharge_power == AcPower(2_500.0)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"EVMaximumChargePower": -1}, "max_charge_power is -1"),
        ({"EVMaximumChargePower_L2": 2e9}, "max_charge_power is 2e+09"),
        ({"EVMinimumChargePower": 20_000}, "min_charge_power is 20000, above the maximum of 10800"),
    ],
)
def test_impossible_limits_are_a_wrong_charge_parameter(
    secc_bench: Any, changes: dict[str, float], complaint: str
) -> None:
    bench = secc_bench(service=AC).reach(State.CHARGE_PARAMETER_DISCOVERY)
    request = bench.request(State.CHARGE_PARAMETER_DISCOVERY)
    mode = msgspec.structs.replace(
        request.AC_CPDReqEnergyTransferMode, **{name: rational(value) for name, value in changes.items()}
    )
    response = bench.ask(msgspec.structs.replace(request, AC_CPDReqEnergyTransferMode=mode))
    assert response.ResponseCode is Code.FAILED_WrongChargeParameter
    assert complaint in bench.end.detail


@pytest.mark.parametrize(("service", "other"), [(AC, AC_BPT), (AC_BPT, AC)])
def test_the_wrong_transfer_mode_is_a_wrong_charge_parameter(secc_bench: Any, service: Any, other: Any) -> None:
    bench = secc_bench(service=service).reach(State.CHARGE_PARAMETER_DISCOVERY)
    request = secc_bench(service=other).request(State.CHARGE_PARAMETER_DISCOVERY)
    response = bench.ask(msgspec.structs.replace(request, Header=bench.header()))
    assert response.ResponseCode is Code.FAILED_WrongChargeParameter


# ---- the contactor ----


def test_the_contactor_is_asked_for_once_and_awaited(secc_bench: Any) -> None:
    bench = secc_bench(service=AC).reach(State.POWER_DELIVERY)
    del bench.answers[ContactorRequested]
    assert bench.feed(bench.frame(bench.request(State.POWER_DELIVERY))) == []
    assert isinstance(bench.told[-1], ContactorRequested)
    bench.advance(0.5)
    bench.update(contactor_closed=True)
    assert [r.ResponseCode for r in bench.sent()] == [Code.OK]
    assert isinstance(bench.told[-1], PowerDeliveryStarted)
    assert sum(isinstance(e, ContactorRequested) for e in bench.told) == 1


def test_a_contactor_that_is_closed_already_is_not_waited_for(secc_bench: Any) -> None:
    bench = secc_bench(service=AC).reach(State.POWER_DELIVERY)
    bench.answers.clear()
    bench.update(contactor_closed=True)
    assert [r.ResponseCode for r in bench.feed(bench.frame(bench.request(State.POWER_DELIVERY)))] == [Code.OK]


def test_the_contactor_is_asked_for_while_the_vehicle_still_processes(secc_bench: Any) -> None:
    bench = secc_bench(service=AC).reach(State.POWER_DELIVERY)
    for _ in range(2):
        request = bench.request(State.POWER_DELIVERY, EVProcessing=ct.processingType.Ongoing)
        assert bench.ask(request).ResponseCode is Code.OK
    assert sum(isinstance(e, ContactorRequested) for e in bench.told) == 1
    assert not any(isinstance(e, PowerDeliveryStarted) for e in bench.told)
    assert bench.ask(bench.request(State.POWER_DELIVERY)).ResponseCode is Code.OK


@pytest.mark.parametrize(
    ("known", "code"), [(True, "FAILED_ContactorError"), (False, "FAILED_PowerDeliveryNotApplied")]
)
def test_a_contactor_that_stays_open_or_unknown_fails_after_a_second(secc_bench: Any, known: bool, code: str) -> None:
    bench = secc_bench(service=AC).reach(State.POWER_DELIVERY)
    bench.answers.clear()
    assert bench.feed(bench.frame(bench.request(State.POWER_DELIVERY))) == []
    assert bench.advance(0.9) == []
    if known:
        bench.update()
    assert [r.ResponseCode for r in bench.advance(0.2)] == [code]
    assert [type(e) for e in bench.told[-2:]] == [PowerDeliveryStopped, SessionEnded]
    assert not any(isinstance(e, PowerDeliveryStarted) for e in bench.told)


def test_stop_waits_for_the_contactor_to_open(secc_bench: Any) -> None:
    bench = secc_bench(service=AC).reach(State.CHARGE_LOOP)
    del bench.answers[PowerDeliveryStopped]
    stop = bench.request(State.POWER_DELIVERY, ChargeProgress=Progress.Stop)
    assert bench.feed(bench.frame(stop)) == []
    assert isinstance(bench.told[-1], PowerDeliveryStopped)
    bench.update(contactor_closed=False)
    assert [r.ResponseCode for r in bench.sent()] == [Code.OK]
    assert bench.machine.state is State.SESSION_STOP


def test_stop_fails_if_the_contactor_stays_closed(secc_bench: Any) -> None:
    bench = secc_bench(service=AC).reach(State.CHARGE_LOOP)
    del bench.answers[PowerDeliveryStopped]
    stop = bench.request(State.POWER_DELIVERY, ChargeProgress=Progress.Stop)
    assert bench.feed(bench.frame(stop)) == []
    bench.advance(0.9)
    bench.update()
    assert [r.ResponseCode for r in bench.advance(0.2)] == [Code.FAILED_ContactorError]
    assert "still closed 1 s after" in bench.end.detail


def test_a_stop_before_the_contactor_was_asked_for_has_nothing_to_wait_for(secc_bench: Any) -> None:
    bench = secc_bench(service=AC).reach(State.POWER_DELIVERY)
    assert bench.deliver(Progress.Stop).ResponseCode is Code.OK
    assert bench.machine.state is State.SESSION_STOP
    assert not any(isinstance(e, PowerDeliveryStopped) for e in bench.told)


@pytest.mark.parametrize(
    ("state", "code"),
    [({"fault": "ground fault"}, Code.FAILED), ({"contactor_closed": False}, Code.FAILED_ContactorError)],
)
def test_a_fault_or_open_contactor_in_the_loop_stops_energy_at_once(
    secc_bench: Any, state: dict[str, Any], code: Code
) -> None:
    bench = secc_bench(service=AC).reach(State.CHARGE_LOOP)
    bench.ask(bench.request(State.CHARGE_LOOP))
    del bench.answers[PowerDeliveryStopped]
    bench.update(**state)
    assert isinstance(bench.told[-1], PowerDeliveryStopped)
    assert bench.ask(bench.request(State.CHARGE_LOOP)).ResponseCode is code


def test_a_state_that_goes_stale_stops_energy_without_a_request(secc_bench: Any) -> None:
    bench = secc_bench(service=AC).reach(State.CHARGE_LOOP)
    bench.advance(1.01)
    assert isinstance(bench.told[-1], PowerDeliveryStopped)
    assert bench.ask(bench.request(State.CHARGE_LOOP)).ResponseCode is Code.FAILED


# ---- the loop ----


def loop(bench: Any, **changes: Any) -> Any:
    response = bench.ask(bench.request(State.CHARGE_LOOP, **changes))
    assert response.ResponseCode is Code.OK
    return response


def test_the_set_point_goes_out_within_what_was_offered(secc_bench: Any) -> None:
    bench = secc_bench(service=AC_BPT).reach(State.CHARGE_LOOP)
    bench.update(
        target_active_power=AcPower(9_000.0, -9_000.0, 100.0),
        target_reactive_power=AcPower(250.0),
        present_active_power=AcPower(-10.0),
        target_frequency_hz=50.2,
    )
    response = loop(bench)
    mode = response.CLResControlMode
    assert type(mode) is ac.BPT_Dynamic_AC_CLResControlMode
    assert powers(mode, "EVSETargetActivePower") == [7_400, -5_000, 100]
    assert powers(mode, "EVSETargetReactivePower") == [250, None, None]
    assert powers(mode, "EVSEPresentActivePower") == [-10, None, None]
    assert float(response.EVSETargetFrequency) == 50.2


@pytest.mark.parametrize("service", [AC, AC_BPT])
def test_without_a_set_point_the_vehicle_gets_zero(secc_bench: Any, service: EnergyService) -> None:
    bench = secc_bench(service=service).reach(State.CHARGE_LOOP)
    bench.update(target_active_power=None)
    assert powers(loop(bench).CLResControlMode, "EVSETargetActivePower") == [0, None, None]


def test_a_vehicle_without_bidirectional_mode_is_not_told_to_discharge(secc_bench: Any) -> None:
    bench = secc_bench(service=AC_BPT).reach(State.CHARGE_LOOP)
    bench.update(target_active_power=AcPower(-3_000.0))
    plain = secc_bench(service=AC).request(State.CHARGE_LOOP).CLReqControlMode
    response = loop(bench, CLReqControlMode=plain)
    assert type(response.CLResControlMode) is ac.Dynamic_AC_CLResControlMode
    assert powers(response.CLResControlMode, "EVSETargetActivePower") == [0, None, None]
    assert bench.told[-1].limits.max_discharge_power == AcPower(0.0)


@pytest.mark.parametrize(("given", "sent"), [(None, [None] * 3), (AcPower(30_000.0), [22_200, None, None])])
def test_scheduled_mode_has_a_set_point_only_where_one_is_given(secc_bench: Any, given: Any, sent: Any) -> None:
    scheduled = ParameterSet(id=1, control_mode=ControlMode.SCHEDULED)
    bench = secc_bench(service=AC_BPT, parameter_set=scheduled).reach(State.CHARGE_LOOP)
    bench.update(target_active_power=given)
    mode = loop(bench).CLResControlMode
    assert type(mode) is ac.BPT_Scheduled_AC_CLResControlMode
    assert powers(mode, "EVSETargetActivePower") == sent


@pytest.mark.parametrize(("channel", "target", "sent"), [("Charge", -3_000.0, 0), ("Discharge", 3_000.0, 0)])
def test_separate_channels_close_the_direction_that_was_not_chosen(
    secc_bench: Any, channel: str, target: float, sent: float
) -> None:
    separate = ParameterSet(id=1, bpt_channel=BptChannel.SEPARATED)
    bench = secc_bench(service=AC_BPT, parameter_set=separate).reach(State.POWER_DELIVERY)
    start = bench.request(State.POWER_DELIVERY, BPT_ChannelSelection=cm.channelSelectionType[channel])
    assert bench.ask(start).ResponseCode is Code.OK
    assert bench.told[-1] == PowerDeliveryStarted(channel=channel)
    bench.update(target_active_power=AcPower(target))
    assert powers(loop(bench).CLResControlMode, "EVSETargetActivePower") == [sent, None, None]
    bench.update(target_active_power=AcPower(-target))
    assert powers(loop(bench).CLResControlMode, "EVSETargetActivePower") == [-target, None, None]


def test_what_the_vehicle_measures_reaches_the_owner_within_range(secc_bench: Any) -> None:
    bench = secc_bench(service=AC_BPT).reach(State.CHARGE_LOOP)
    mode = bench.request(State.CHARGE_LOOP).CLReqControlMode
    changes = {"EVPresentActivePower": rational(-3e9), "EVPresentReactivePower": rational(70)}
    loop(bench, CLReqControlMode=msgspec.structs.replace(mode, **changes))
    told = bench.told[-1]
    assert (told.ev_present_active_power, told.ev_present_reactive_power) == (AcPower(-1e9), AcPower(70.0))
    assert told.limits.max_charge_power == AcPower(3_600.0, 3_600.0, 3_600.0)


@pytest.mark.parametrize(
    ("changes", "zero"),
    [
        ({"EVMaximumChargePower_L3": -5}, ("max_charge_power", "min_charge_power")),
        ({"EVMinimumChargePower": 12_000}, ("max_charge_power", "min_charge_power")),
        ({"EVMaximumDischargePower": 2e9}, ("max_discharge_power",)),
        ({"EVMinimumEnergyRequest": -2e9}, ("max_charge_power", "max_discharge_power")),
    ],
)
def test_impossible_numbers_in_the_loop_take_power_away(
    secc_bench: Any, changes: dict[str, float], zero: tuple[str, ...]
) -> None:
    bench = secc_bench(service=AC_BPT).reach(State.CHARGE_LOOP)
    mode = bench.request(State.CHARGE_LOOP).CLReqControlMode
    mode = msgspec.structs.replace(mode, **{name: rational(value) for name, value in changes.items()})
    loop(bench, CLReqControlMode=mode)
    assert [getattr(bench.told[-1].limits, name).total for name in zero] == [0.0] * len(zero)


def test_limits_that_scheduled_mode_leaves_out_are_those_of_parameter_discovery(secc_bench: Any) -> None:
    scheduled = ParameterSet(id=1, control_mode=ControlMode.SCHEDULED)
    bench = secc_bench(service=AC_BPT, parameter_set=scheduled).reach(State.CHARGE_LOOP)
    loop(bench, CLReqControlMode=ac.BPT_Scheduled_AC_CLReqControlMode(EVPresentActivePower=rational(5)))
    limits = bench.told[-1].limits
    assert limits.max_charge_power == AcPower(3_600.0, 3_600.0, 3_600.0)
    assert limits.max_discharge_power == AcPower(3_000.0)
    assert bench.told[-1].ev_present_reactive_power is None


def test_an_evse_of_the_other_kind_is_refused(secc_bench: Any) -> None:
    bench = secc_bench(service=AC)
    state = secc_bench().evse
    assert isinstance(state, UpdateDcEvse)
    with pytest.raises(LocalProtocolError, match="does not fit"):
        bench.command(state)
    with pytest.raises(LocalProtocolError, match="target_active_power"):
        bench.command(replace(bench.evse, target_active_power=AcPower(float("nan"))))
    with pytest.raises(LocalProtocolError, match="contactor_closed"):
        bench.command(replace(bench.evse, contactor_closed=1))


# ---- set-points alone ----

WATTS = st.floats(0, 1e5)
OFFERS = st.one_of(st.builds(AcPower, WATTS), st.builds(AcPower, WATTS, WATTS, WATTS), st.builds(AcPower, WATTS, WATTS))
TARGET = st.floats(-2e5, 2e5)
TARGETS = st.one_of(
    st.builds(AcPower, TARGET), st.builds(AcPower, TARGET, TARGET, TARGET), st.builds(AcPower, TARGET, TARGET)
)


@given(target=TARGETS, most=OFFERS, least=OFFERS, charge=st.booleans(), discharge=st.booleans())
def test_a_bounded_set_point_never_passes_the_offer(
    target: AcPower, most: AcPower, least: AcPower, charge: bool, discharge: bool
) -> None:
    sent = bounded(
        target, AcLimits(max_charge_power=most, max_discharge_power=least), charge=charge, discharge=discharge
    )
    assert len(sent.phases) == len(target.phases)
    up = sum(v for v in sent.phases if v > 0)
    down = -sum(v for v in sent.phases if v < 0)
    assert up <= (most.total if charge else 0.0) * (1 + 1e-9)
    assert down <= (least.total if discharge else 0.0) * (1 + 1e-9)
    for wanted, given_w, i in zip(target.phases, sent.phases, range(3), strict=False):
        assert given_w * wanted >= 0
        assert abs(given_w) <= abs(wanted)
        if len(sent.phases) > 1 and len(most.phases) > 1 and given_w > 0:
            assert given_w <= [*most.phases, 0.0][i] * (1 + 1e-9)


@given(target=TARGETS)
def test_a_set_point_within_a_generous_offer_is_sent_as_it_is(target: AcPower) -> None:
    generous = AcLimits(max_charge_power=AcPower(1e6), max_discharge_power=AcPower(1e6, 1e6, 1e6))
    assert bounded(target, generous, charge=True, discharge=True) == target
