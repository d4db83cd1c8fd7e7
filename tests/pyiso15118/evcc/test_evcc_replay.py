"""Stations that were recorded with other vehicles charge ours: their bytes unchanged, whatever ours asks.

The recorded answers to one kind of request are given in their order, and from the last charge loop on our vehicle
stops. Its session takes theirs over: the SessionID in their headers, and their clock.
"""

import json
from collections import defaultdict, deque
from pathlib import Path
from typing import Any

import pytest

from pyiso15118 import exi
from pyiso15118.commands import ContactorsClosed, StopCharging, UpdateDcVehicle
from pyiso15118.evcc import EvccConfig, EvccMachine
from pyiso15118.events import (
    ChargingStarted,
    ChargingStopped,
    ControlMode,
    DcChargeLoopAnswered,
    DcLimits,
    EndReason,
    EnergyNeeds,
    EnergyService,
    EnergyServiceSelected,
    EvseLimitsReceived,
    PreChargeReached,
    SchedulesOffered,
    SessionEnded,
)
from pyiso15118.security.tls import TlsProfile
from pyiso15118.v2gtp import FrameReader, encode_frame, namespace_of

START = 1000.0
FIRST_DISCOVERY_FRAME = 0x9000
MCS, MCS_BPT = EnergyService.MCS, EnergyService.MCS_BPT
SCHEDULED, DYNAMIC = ControlMode.SCHEDULED, ControlMode.DYNAMIC
VEHICLE = UpdateDcVehicle(
    present_voltage_v=400.0,
    target_voltage_v=400.0,
    limits=DcLimits(
        max_charge_power_w=1_200_000.0,
        max_charge_current_a=1_500.0,
        max_voltage_v=900.0,
        min_voltage_v=100.0,
        max_discharge_power_w=1_000_000.0,
        max_discharge_current_a=1_500.0,
    ),
    needs=EnergyNeeds(departure_time_s=7200, target_energy_wh=10_000.0, max_energy_wh=20_000.0, min_energy_wh=50.0),
)


class RecordedStation:
    """Answers by kind of request, in their order; the last of a kind again and again."""

    def __init__(self, path: Path) -> None:
        self.answers: dict[str, deque[tuple[int, bytes]]] = defaultdict(deque)
        self.decoded: dict[str, Any] = {}
        for row in map(json.loads, path.read_text().splitlines()):
            payload_type, payload = int(row["payload_type"], 16), bytes.fromhex(row["hex"])
            if payload_type >= FIRST_DISCOVERY_FRAME or row["dir"] != "evse->ev":
                continue
            message = exi.decode(namespace_of(payload_type), payload)
            name = type(message).__name__
            self.answers[name].append((payload_type, payload))
            self.decoded.setdefault(name, message)
        self.loops = len(self.answers["DC_ChargeLoopRes"])

    @property
    def unix_s(self) -> float:
        stamp = self.decoded["SessionSetupRes"].Header.TimeStamp
        return float(stamp if stamp < 10**11 else stamp / 10**6)

    def answer(self, request: str) -> bytes:
        waiting = self.answers[request.removesuffix("Req") + "Res"]
        assert waiting, f"the recorded station was never asked {request}"
        payload_type, payload = waiting.popleft() if len(waiting) > 1 else waiting[0]
        return encode_frame(payload_type, payload)


class Guest:
    """Our vehicle at a recorded station."""

    def __init__(self, path: Path, service: EnergyService, mode: ControlMode) -> None:
        self.station = RecordedStation(path)
        self.machine = EvccMachine(
            EvccConfig(evccid="EVCC01", services=(service,), control_modes=(mode,), profile=TlsProfile.COMPAT),
            random=lambda n: bytes(n),
            unix_offset_s=self.station.unix_s - START,
        )
        self.events: list[Any] = []
        self.loops = 0
        self.now = START

    def run(self) -> None:
        reader = FrameReader()
        self.machine.command(VEHICLE, self.now)
        self.machine.start(self.now)
        while not self.machine.closed and self.now < START + 120.0:
            self._take_events()
            data = self.machine.data_to_send()
            if not data:
                deadline = self.machine.next_deadline()
                assert deadline is not None
                self.now = max(self.now, deadline)
                self.machine.handle_timer(self.now)
                continue
            reader.feed(data)
            (frame,) = list(reader)
            name = type(exi.decode(namespace_of(frame.payload_type), frame.payload)).__name__
            self.machine.receive_data(self.station.answer(name), self.now)
        self._take_events()

    def _take_events(self) -> None:
        while (event := self.machine.next_event()) is not None:
            self.events.append(event)
            if isinstance(event, PreChargeReached):
                self.machine.command(ContactorsClosed(), self.now)
            elif isinstance(event, DcChargeLoopAnswered):
                self.loops += 1
                if self.loops == self.station.loops:
                    self.machine.command(StopCharging(), self.now)

    def of(self, kind: type[Any]) -> list[Any]:
        return [e for e in self.events if isinstance(e, kind)]


CHARGES = [
    ("2026_08_06_everest_mcs_reverse_recorded_mcs_reverse_eim_5709f3", 26),
    ("2026_08_06_everest_mcs_reverse_recorded_mcs_reverse_pnc_frames_log_04f6c9", 33),
]
WITHOUT_VOLTAGE = [
    ("2026_08_05_everest_mcs_mcs_dynamic_410972", DYNAMIC),
    ("2026_08_05_everest_mcs_mcs_scheduled_s1_0f316e", SCHEDULED),
    ("2026_08_05_everest_mcs_mcs_scheduled_s2_32ceef", SCHEDULED),
]
"""Their stations were seen once in pre-charge, at 0 V, and the recorded vehicles went on all the same."""


@pytest.mark.parametrize(("name", "loops"), CHARGES, ids=[name for name, _ in CHARGES])
def test_our_vehicle_charges_at_a_recorded_megawatt_station(shared_data: Path, name: str, loops: int) -> None:
    guest = Guest(shared_data / "iso15118" / "sessions" / f"{name}.jsonl", MCS, SCHEDULED)
    guest.run()
    ended = guest.events[-1]
    assert isinstance(ended, SessionEnded)
    assert ended.reason is EndReason.STOPPED, ended.detail
    (selected,) = guest.of(EnergyServiceSelected)
    assert (selected.service, selected.control_mode) == (MCS, SCHEDULED)
    limits = guest.of(EvseLimitsReceived)[0].limits
    assert (limits.max_charge_power_w, limits.max_charge_current_a, limits.max_voltage_v) == (3_750_000, 3_000, 1_250)
    assert guest.loops == guest.station.loops == loops
    assert len(guest.of(SchedulesOffered)) == 1
    assert len(guest.of(ChargingStarted)) == len(guest.of(ChargingStopped)) == 1


@pytest.mark.parametrize(("name", "mode"), WITHOUT_VOLTAGE, ids=[name for name, _ in WITHOUT_VOLTAGE])
def test_our_vehicle_closes_no_contactor_where_no_voltage_comes(
    shared_data: Path, name: str, mode: ControlMode
) -> None:
    guest = Guest(shared_data / "iso15118" / "sessions" / f"{name}.jsonl", MCS, mode)
    guest.run()
    ended = guest.events[-1]
    assert (ended.reason, ended.detail) == (EndReason.TIMEOUT_EVCC, "DC_PreCharge was not finished in time")
    assert guest.of(EnergyServiceSelected)[0].control_mode is mode
    assert guest.of(EvseLimitsReceived)[0].limits.max_charge_power_w == 150_000
    assert not guest.of(PreChargeReached)
    assert not guest.of(ChargingStarted)


@pytest.mark.parametrize(
    "name", ["2026_08_05_everest_mcs_bpt_mcs_bpt_aa937d", "2026_08_05_everest_mcs_bpt_mcs_bpt_ranked_8cb2d4"]
)
def test_a_bidirectional_station_that_refuses_the_parameters_is_left(shared_data: Path, name: str) -> None:
    guest = Guest(shared_data / "iso15118" / "sessions" / f"{name}.jsonl", MCS_BPT, DYNAMIC)
    guest.run()
    ended = guest.events[-1]
    assert (ended.reason, ended.response_code) == (EndReason.FAILED_BY_PEER, "FAILED_WrongChargeParameter")
    assert guest.of(EnergyServiceSelected)[0].service is MCS_BPT
    assert not guest.of(ChargingStarted)
