"""A charging station of one EVSE on the package alone: no site, no dispatch, a perfect power stage."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Protocol

import msgspec

from pyiso15118.aio import Endpoint, SeccConnection, SeccServer
from pyiso15118.commands import (
    Authorize,
    CableCheckFinished,
    EvseState,
    OfferSchedules,
    SetMobilityNeeds,
    UpdateAcEvse,
    UpdateDcEvse,
)
from pyiso15118.events import (
    AcChargeLoopReceived,
    AcPower,
    AuthorizationRequested,
    CableCheckRequested,
    ContactorRequested,
    ControlMode,
    DcChargeLoopReceived,
    EnergyService,
    EnergyServiceSelected,
    Event,
    MeterReading,
    MobilityNeedsMode,
    PowerDeliveryStopped,
    PreChargeRequested,
    ScheduleRequested,
)
from pyiso15118.messages.common_messages import authorizationType
from pyiso15118.messages.common_types import evseNotificationType
from pyiso15118.schedules import flat_schedule
from pyiso15118.secc import SeccConfig
from pyiso15118.secc.config import ParameterSet, ServiceOffer
from pyiso15118.security import TlsProfile, TrustAnchors, server_context
from pyiso15118.timers import SeccTimers
from support.stack import AC_LIMITS, DC_LIMITS, EventLog, Tls, read_job

POWER_W = 10_000.0
"""Set by the station in dynamic mode: out of the vehicle where the service allows it, else into it."""
METER = MeterReading(meter_id="stack-1", charged_energy_wh=1_000, discharged_energy_wh=500)
TICK_S = 0.3


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """``tls`` None: plain TCP. ``contract_roots``: a PEM file; with it Plug and Charge is offered beside EIM.
    ``stop_after``: so many turns of the charge loop, and the vehicle is asked to stop."""

    interface: str
    ac: bool
    tls: Tls | None = None
    contract_roots: str | None = None
    stop_after: int | None = None


class PowerStage(Protocol):
    stop: bool
    """The vehicle is asked to stop."""

    def follow(self, event: Event) -> None: ...

    def state(self) -> EvseState: ...


class DcStage:
    """Reaches what is asked for at once."""

    def __init__(self) -> None:
        self.stop = False
        self._voltage_v = 0.0
        self._current_a = 0.0
        self._closed = False
        self._dynamic_w = POWER_W

    def follow(self, event: Event) -> None:
        match event:
            case EnergyServiceSelected(service=service):
                self._dynamic_w = -POWER_W if service.is_bpt else POWER_W
            case CableCheckRequested():
                self._closed = True
            case PreChargeRequested(target_voltage_v=voltage_v):
                self._voltage_v = voltage_v
            case DcChargeLoopReceived(target_current_a=None):
                self._current_a = self._dynamic_w / self._voltage_v
            case DcChargeLoopReceived(target_current_a=float() as current_a):
                self._current_a = current_a
            case PowerDeliveryStopped():
                self._voltage_v = self._current_a = 0.0
                self._closed = False

    def state(self) -> EvseState:
        return UpdateDcEvse(
            present_voltage_v=self._voltage_v,
            present_current_a=self._current_a,
            limits=DC_LIMITS,
            contactors_closed=self._closed,
            notification=evseNotificationType.Terminate if self.stop else None,
            meter=METER,
        )


class AcStage:
    """A contactor, and a set-point where the vehicle awaits one."""

    def __init__(self) -> None:
        self.stop = False
        self._closed = False
        self._set_w: float | None = None
        self._present_w = 0.0

    def follow(self, event: Event) -> None:
        match event:
            case EnergyServiceSelected(service=service, control_mode=ControlMode.DYNAMIC):
                self._set_w = -POWER_W if service.is_bpt else POWER_W
            case ContactorRequested():
                self._closed = True
            case AcChargeLoopReceived():
                self._present_w = POWER_W if self._set_w is None else self._set_w
            case PowerDeliveryStopped():
                self._closed = False
                self._present_w = 0.0

    def state(self) -> EvseState:
        return UpdateAcEvse(
            contactor_closed=self._closed,
            target_active_power=None if self._set_w is None else AcPower(self._set_w),
            present_active_power=AcPower(self._present_w),
            notification=evseNotificationType.Terminate if self.stop else None,
            meter=METER,
        )


class Owner:
    """Answers whatever a session asks of its EVSE."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._log = EventLog()

    def listening(self) -> None:
        self._log.note("Listening")

    async def serve(self, connection: SeccConnection) -> None:
        self._log.connected(connection)
        stage: PowerStage = AcStage() if self._job.ac else DcStage()
        connection.command(stage.state())
        ticking = asyncio.create_task(self._tell(connection, stage))
        turns = 0
        try:
            async for event in connection.events():
                self._log.write(event)
                stage.follow(event)
                turns += isinstance(event, AcChargeLoopReceived | DcChargeLoopReceived)
                if turns == self._job.stop_after:
                    stage.stop = True
                connection.command(stage.state())
                self._answer(connection, event)
        finally:
            ticking.cancel()
        await connection.closed()

    @staticmethod
    async def _tell(connection: SeccConnection, stage: PowerStage) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            connection.command(stage.state())

    @staticmethod
    def _answer(connection: SeccConnection, event: Event) -> None:
        match event:
            case AuthorizationRequested():
                connection.command(Authorize(granted=True))
            case ScheduleRequested(control_mode=ControlMode.SCHEDULED):
                offer = flat_schedule(POWER_W, discharge_power_w=-POWER_W)
                connection.command(OfferSchedules(tuples=(offer,)))
            case ScheduleRequested():
                connection.command(SetMobilityNeeds(departure_time_s=7200, min_soc_pct=30, target_soc_pct=80))
            case CableCheckRequested():
                connection.command(CableCheckFinished(passed=True))


def services(ac: bool) -> tuple[ServiceOffer, ...]:
    sets = (
        (ControlMode.SCHEDULED, MobilityNeedsMode.BY_EVCC),
        (ControlMode.DYNAMIC, MobilityNeedsMode.BY_EVCC),
        (ControlMode.DYNAMIC, MobilityNeedsMode.BY_SECC),
    )
    parameter_sets = tuple(
        ParameterSet(
            id=number,
            control_mode=mode,
            mobility_needs_mode=needs,
            connector=3 if ac else 2,
            nominal_voltage_v=230 if ac else None,
            islanding_detection=1 if ac else None,
        )
        for number, (mode, needs) in enumerate(sets, 1)
    )
    kinds = (EnergyService.AC_BPT, EnergyService.AC) if ac else (EnergyService.DC_BPT, EnergyService.DC)
    return tuple(ServiceOffer(service=kind, parameter_sets=parameter_sets) for kind in kinds)


def endpoint(job: Job) -> Endpoint:
    authorization = (authorizationType.EIM,)
    anchors = None
    if job.contract_roots is not None:
        authorization = (authorizationType.PnC, authorizationType.EIM)
        anchors = TrustAnchors.from_pem(Path(job.contract_roots).read_bytes())
    config = SeccConfig(
        evse_id="US*V2G*E1",
        limits=None if job.ac else DC_LIMITS,
        ac_limits=AC_LIMITS if job.ac else None,
        ac_nominal_frequency_hz=50.0 if job.ac else None,
        services=services(job.ac),
        authorization=authorization,
        contract_anchors=anchors,
        profile=TlsProfile.COMPAT,
        timers=SeccTimers(sequence_charge_loop_s=3.0),
        meter_discharge_reading=False,
    )
    tls = None
    if job.tls is not None:
        tls = server_context(TlsProfile.COMPAT, *job.tls.files, password=job.tls.password)
    return Endpoint(
        config=config, interface=job.interface, tls=tls, profile=TlsProfile.COMPAT, allow_plain=job.tls is None
    )


async def main() -> None:
    job = read_job(Job)
    owner = Owner(job)
    async with SeccServer([endpoint(job)], owner.serve):
        owner.listening()
        await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
