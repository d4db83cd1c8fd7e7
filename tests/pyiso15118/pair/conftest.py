"""Our EVCC against our SECC, joined in memory, with owners that play a perfect vehicle and a perfect EVSE."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any

import pytest

from pyiso15118.commands import (
    Authorize,
    CableCheckFinished,
    Command,
    ContactorsClosed,
    OfferSchedules,
    SetMobilityNeeds,
    StopCharging,
    UpdateAcEvse,
    UpdateAcVehicle,
    UpdateDcEvse,
    UpdateDcVehicle,
)
from pyiso15118.errors import LocalProtocolError
from pyiso15118.evcc import EvccConfig, EvccMachine
from pyiso15118.events import (
    AcChargeLoopAnswered,
    AcLimits,
    AcPower,
    AuthorizationRequested,
    BptChannel,
    CableCheckRequested,
    ChargingStarted,
    ChargingStopped,
    ContactorRequested,
    ControlMode,
    DcChargeLoopAnswered,
    DcLimits,
    EnergyNeeds,
    EnergyService,
    Event,
    GeneratorMode,
    MessageReceived,
    MessageSent,
    MobilityNeedsMode,
    PowerDeliveryStarted,
    PowerDeliveryStopped,
    PreChargeReached,
    PreChargeRequested,
    ScheduleRequested,
    SessionEnded,
)
from pyiso15118.machine import Machine
from pyiso15118.schedules import ScheduleTuple, flat_schedule
from pyiso15118.secc import SeccConfig, SeccMachine
from pyiso15118.secc.config import ParameterSet, ServiceOffer
from support.fleet.parts import EVSE_LIMITS as DC_LIMITS

START = 1000.0
UNIX_OFFSET = 1_700_000_000.0
EVCCID = "WMIV1234567890ABCDEX"

AC_LIMITS = AcLimits(max_charge_power=AcPower(22_000.0), max_discharge_power=AcPower(11_000.0))
DC_EVSE = UpdateDcEvse(present_voltage_v=0.0, present_current_a=0.0, limits=DC_LIMITS, contactors_closed=False)
AC_EVSE = UpdateAcEvse(contactor_closed=False, target_active_power=AcPower(3_000.0))
NEEDS = EnergyNeeds(departure_time_s=3600, target_energy_wh=20_000.0, max_energy_wh=40_000.0, min_energy_wh=-20_000.0)
DC_VEHICLE = UpdateDcVehicle(
    present_voltage_v=395.0,
    target_voltage_v=400.0,
    limits=DcLimits(
        max_charge_power_w=11_000.0,
        max_charge_current_a=32.0,
        max_voltage_v=450.0,
        min_voltage_v=300.0,
        max_discharge_power_w=10_000.0,
        max_discharge_current_a=30.0,
    ),
    needs=NEEDS,
    present_soc_pct=50,
    battery_capacity_wh=60_000.0,
)
AC_VEHICLE = UpdateAcVehicle(
    limits=AcLimits(max_charge_power=AcPower(11_000.0), max_discharge_power=AcPower(10_000.0)),
    needs=NEEDS,
    present_active_power=AcPower(3_000.0),
)


def offer_of(service: EnergyService) -> ServiceOffer:
    """A service in every way it can be used: each parameter set's id names its modes."""
    sets = []
    ids = count(1)
    for mode in ControlMode:
        for mobility in MobilityNeedsMode:
            if mode is ControlMode.SCHEDULED and mobility is MobilityNeedsMode.BY_SECC:
                continue
            for channel in BptChannel if service.is_bpt else (BptChannel.UNIFIED,):
                for generator in GeneratorMode if service.is_bpt else (GeneratorMode.GRID_FOLLOWING,):
                    sets.append(
                        ParameterSet(
                            id=next(ids),
                            control_mode=mode,
                            mobility_needs_mode=mobility,
                            bpt_channel=channel,
                            generator_mode=generator,
                            islanding_detection=1 if service is EnergyService.AC_BPT else None,
                            nominal_voltage_v=230 if service.is_ac else None,
                        )
                    )
    return ServiceOffer(service=service, parameter_sets=tuple(sets))


ALL_SERVICES = tuple(offer_of(service) for service in EnergyService if not service.is_der)


class Station:
    """The SECC's owner and its EVSE. ``answers`` says what it does at an event, ``delay_s`` later."""

    def __init__(
        self, services: tuple[ServiceOffer, ...] = ALL_SERVICES, *, delay_s: float = 0.0, **config: Any
    ) -> None:
        self.delay_s = delay_s
        self.due: list[tuple[float, Callable[[], None]]] = []
        self.config = SeccConfig(
            **(
                {
                    "evse_id": "US*V2G*E1",
                    "limits": DC_LIMITS,
                    "ac_limits": AC_LIMITS,
                    "ac_nominal_frequency_hz": 60.0,
                    "services": services,
                    "standby_allowed": True,
                }
                | config
            )
        )
        self.tuples: tuple[ScheduleTuple, ...] = (flat_schedule(20_000.0, discharge_power_w=-15_000.0),)
        self.dc, self.ac = DC_EVSE, AC_EVSE
        self.answers: dict[type[Event], Callable[[Any], None]] = {
            AuthorizationRequested: lambda _: self.command(Authorize(granted=True)),
            ScheduleRequested: self.offer,
            CableCheckRequested: lambda _: self.finish_cable_check(),
            PreChargeRequested: lambda e: self.update(present_voltage_v=e.target_voltage_v),
            ContactorRequested: lambda _: self.update(contactor_closed=True),
            PowerDeliveryStopped: lambda _: self.let_go(),
        }
        self.events: list[Event] = []
        self.machine: SeccMachine
        self.now = START

    def connect(self, machine: SeccMachine, now: float) -> None:
        self.machine, self.now = machine, now
        self.dc, self.ac = replace(DC_EVSE, limits=self.dc.limits), AC_EVSE
        self.events, self.due = [], []
        machine.start(now)
        self.tell()

    def command(self, command: Command) -> None:
        self.machine.command(command, self.now)

    def update(self, **changes: Any) -> None:
        """What both kinds of EVSE have is changed in both."""
        for kind in ("dc", "ac"):
            state = getattr(self, kind)
            own = {name: value for name, value in changes.items() if name in type(state).__dataclass_fields__}
            setattr(self, kind, replace(state, **own))
        self.tell()

    def tell(self) -> None:
        """As it is now: of the kind that the session is about."""
        if not self.machine.closed:
            self.command(self.ac if self.is_ac else self.dc)

    @property
    def is_ac(self) -> bool:
        agreed = [e for e in self.events if type(e).__name__ == "ProtocolAgreed"]
        if not agreed:
            return all(offer.service.is_ac for offer in self.config.services)
        return ":-20:AC" in agreed[-1].namespace

    def offer(self, event: ScheduleRequested) -> None:
        if event.control_mode is ControlMode.SCHEDULED:
            self.command(OfferSchedules(tuples=self.tuples))
        else:
            self.command(SetMobilityNeeds(departure_time_s=7200, target_soc_pct=80))

    def finish_cable_check(self) -> None:
        self.update(contactors_closed=True)
        self.command(CableCheckFinished(passed=True))

    def let_go(self) -> None:
        self.update(present_current_a=0.0, contactor_closed=False)

    def take_events(self) -> None:
        while (event := self.machine.next_event()) is not None:
            self.events.append(event)
            answer = self.answers.get(type(event))
            if answer is not None and self.delay_s:
                self.due.append((self.now + self.delay_s, partial(answer, event)))
            elif answer is not None:
                answer(event)

    def catch_up(self) -> None:
        """Do what is due by now."""
        due = [act for at, act in self.due if at <= self.now]
        self.due = [(at, act) for at, act in self.due if at > self.now]
        for act in due:
            # A late answer may come when its question no longer stands.
            with suppress(LocalProtocolError):
                act()


class Pair:
    """One plug-in: an EVCC and a SECC machine. The vehicle stops by itself after ``loops``."""

    def __init__(
        self,
        station: Station | None = None,
        *,
        loops: int = 3,
        at: float = START,
        secc: dict[str, Any] | None = None,
        evcc: dict[str, Any] | None = None,
        session_id: bytes = bytes(range(1, 9)),
        **config: Any,
    ) -> None:
        self.station = station or Station()
        self.now = at
        self.machine = EvccMachine(
            EvccConfig(**({"evccid": EVCCID} | config)),
            random=lambda n: bytes(n),
            unix_offset_s=UNIX_OFFSET,
            **(evcc or {}),
        )
        self.secc = SeccMachine(
            self.station.config,
            random=lambda n: (session_id * 2)[:n],
            unix_offset_s=UNIX_OFFSET,
            **(secc or {}),
        )
        self.station.connect(self.secc, at)
        self.loops_left = loops
        self.events: list[Event] = []
        self.vehicle: dict[str, Any] = {"dc": DC_VEHICLE, "ac": AC_VEHICLE}
        self.reactions: dict[type[Event], Callable[[Any], None]] = {
            PreChargeReached: lambda _: self.command(ContactorsClosed()),
            DcChargeLoopAnswered: lambda _: self._count_loop(),
            AcChargeLoopAnswered: lambda _: self._count_loop(),
            ChargingStopped: lambda _: self.station.update(present_voltage_v=0.0),
        }
        self._started = False

    def _count_loop(self) -> None:
        self.loops_left -= 1
        if self.loops_left == 0:
            self.command(StopCharging())

    def command(self, command: Command) -> None:
        self.machine.command(command, self.now)

    def run(self, max_s: float = 300.0, stop: Callable[[], bool] = lambda: False) -> Pair:
        """Until both machines are closed, ``stop()`` is true, or ``max_s`` seconds have passed in the session."""
        if not self._started:
            self._started = True
            for vehicle in self.vehicle.values():
                self.command(vehicle)
            self.machine.start(self.now)
        until = self.now + max_s
        while not (self.secc.closed and self.machine.closed) and not stop():
            if not self._exchange() and not self._pass_time(until):
                break
        if not stop():
            self._exchange()
        return self

    def looped(self, times: int = 1) -> Pair:
        """Until the charge loop was answered ``times`` more."""
        already = len(self.loop_answers)
        self.run(stop=lambda: len(self.loop_answers) >= already + times)
        assert len(self.loop_answers) >= already + times, self.told[-3:] + self.station.events[-2:]
        return self

    def _exchange(self) -> bool:
        self.station.now = self.now
        moved = _move(self.machine, self.secc, self.now)
        self.station.take_events()
        moved = _move(self.secc, self.machine, self.now) or moved
        while (event := self.machine.next_event()) is not None:
            self.events.append(event)
            reaction = self.reactions.get(type(event))
            if reaction is not None:
                reaction(event)
        return moved

    def _pass_time(self, until: float) -> bool:
        deadlines = [d for m in (self.secc, self.machine) if (d := m.next_deadline()) is not None]
        if not self.secc.closed:
            deadlines += [at for at, _ in self.station.due]
        if not deadlines or min(deadlines) > until:
            return False
        self.now = self.station.now = max(self.now, min(deadlines))
        if not self.machine.closed:
            self.station.tell()
        self.station.catch_up()
        self.machine.handle_timer(self.now)
        self.secc.handle_timer(self.now)
        return True

    # ---- what happened ----

    @property
    def told(self) -> list[Event]:
        return [e for e in self.events if not isinstance(e, MessageReceived | MessageSent)]

    def told_of(self, kind: type[Any]) -> list[Any]:
        """Events of this kind on either side."""
        return [e for e in (*self.events, *self.station.events) if isinstance(e, kind)]

    @property
    def loop_answers(self) -> list[Any]:
        return [e for e in self.events if isinstance(e, DcChargeLoopAnswered | AcChargeLoopAnswered)]

    @property
    def sent(self) -> list[str]:
        return [e.name for e in self.events if isinstance(e, MessageSent)]

    def requests(self, name: str) -> list[Any]:
        return [e.message for e in self.events if isinstance(e, MessageSent) and e.name == name]

    @property
    def progress(self) -> list[str]:
        return [str(r.ChargeProgress) for r in self.requests("PowerDeliveryReq")]

    @property
    def end(self) -> SessionEnded:
        last = self.events[-1]
        assert isinstance(last, SessionEnded), last
        return last

    @property
    def secc_end(self) -> SessionEnded:
        last = self.station.events[-1]
        assert isinstance(last, SessionEnded), last
        return last

    def check_ended_well(self) -> None:
        """Both sides are through, and on neither is energy left on."""
        assert (type(self.events[-1]), type(self.station.events[-1])) == (SessionEnded, SessionEnded)
        for events, on, off in (
            (self.events, ChargingStarted, ChargingStopped),
            (self.station.events, PowerDeliveryStarted, PowerDeliveryStopped),
        ):
            energy = [e for e in events if isinstance(e, on | off)]
            assert not energy or isinstance(energy[-1], off), energy


def _move(source: Machine, sink: Machine, now: float) -> bool:
    moved = False
    while data := source.data_to_send():
        sink.receive_data(data, now)
        moved = True
    if source.closed and not sink.closed:
        sink.receive_eof(now)
    return moved


@pytest.fixture
def pair() -> type[Pair]:
    return Pair


@pytest.fixture
def station() -> type[Station]:
    return Station
