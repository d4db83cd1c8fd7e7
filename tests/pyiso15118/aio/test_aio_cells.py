"""Our vehicle at our station over real sockets: each service in each control mode, plain and over TLS 1.3 strict."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from pyiso15118.aio import Endpoint, EvccConnection, SeccConnection, SeccServer, connect
from pyiso15118.commands import ContactorsClosed, PauseCharging, StopCharging
from pyiso15118.evcc import EvccConfig
from pyiso15118.events import (
    AcChargeLoopAnswered,
    AcChargeLoopReceived,
    AuthorizationRequested,
    ControlMode,
    DcChargeLoopAnswered,
    DcChargeLoopReceived,
    EndReason,
    EnergyService,
    EnergyServiceSelected,
    Event,
    PreChargeReached,
    SessionEnded,
    SessionStarted,
)
from pyiso15118.paused import PausedSession
from pyiso15118.secc import SeccConfig
from support.stack import AC_LIMITS, DC_LIMITS
from support.stack_station import AcStage, DcStage, Owner, services
from support.stack_vehicle import vehicle
from support.stations import QUICK, STRICT, Contexts

EVSE_ID = "US*V2G*E1"
TURNS = 5


class EvseOwner:
    """The station of the interop tests, without its log."""

    def __init__(self) -> None:
        self.told: list[Event] = []

    async def __call__(self, connection: SeccConnection) -> None:
        is_ac = connection.endpoint.config.services[0].service.is_ac
        stage: Any = AcStage() if is_ac else DcStage()
        connection.command(stage.state())
        async for event in connection.events():
            self.told.append(event)
            stage.follow(event)
            connection.command(stage.state())
            Owner._answer(connection, event)
        await connection.closed()


@dataclass
class Site:
    server: SeccServer
    owner: EvseOwner
    tls: Contexts | None

    async def vehicle(self, service: EnergyService, mode: ControlMode, **more: Any) -> EvccConnection:
        config = EvccConfig(
            evccid="WMIV1234567890ABCDEX",
            services=(service,),
            control_modes=(mode,),
            timers=QUICK,
            welding_detection_s=0.1,
        )
        tls = self.tls.client if self.tls is not None else None
        return await connect(self.server.address(EVSE_ID), config, tls=tls, vehicle=vehicle(service), **more)

    async def free(self) -> None:
        """The station has closed its side, too."""
        while self.server.session(EVSE_ID) is not None:
            await asyncio.sleep(0.005)


@asynccontextmanager
async def site(is_ac: bool, tls: Contexts | None) -> AsyncIterator[Site]:
    config = SeccConfig(
        evse_id=EVSE_ID,
        limits=None if is_ac else DC_LIMITS,
        ac_limits=AC_LIMITS if is_ac else None,
        ac_nominal_frequency_hz=60.0 if is_ac else None,
        services=services(is_ac),
    )
    endpoint = Endpoint(
        config=config,
        interface="lo",
        host="::1",
        sdp_port=None,
        tls=None if tls is None else tls.server,
        profile=STRICT,
        allow_plain=tls is None,
    )
    owner = EvseOwner()
    async with SeccServer([endpoint], owner) as server:
        yield Site(server, owner, tls)


async def drive(connection: EvccConnection, last: Any) -> list[Event]:
    told: list[Event] = []
    turns = 0
    async for event in connection.events():
        told.append(event)
        match event:
            case PreChargeReached():
                connection.command(ContactorsClosed())
            case DcChargeLoopAnswered() | AcChargeLoopAnswered():
                turns += 1
                if turns == TURNS:
                    connection.command(last)
    await connection.closed()
    return told


def only(told: list[Event], kind: type[Any]) -> Any:
    (found,) = [event for event in told if isinstance(event, kind)]
    return found


@pytest.mark.parametrize("secured", [False, True], ids=["plain", "strict"])
@pytest.mark.parametrize("mode", list(ControlMode))
@pytest.mark.parametrize(
    "service", [EnergyService.AC, EnergyService.AC_BPT, EnergyService.DC, EnergyService.DC_BPT], ids=lambda s: s.name
)
async def test_cell(strict: Contexts, service: EnergyService, mode: ControlMode, secured: bool) -> None:
    async with site(service.is_ac, strict if secured else None) as there:
        connection = await there.vehicle(service, mode)
        assert connection.secured is secured
        told = await drive(connection, StopCharging())
    for side in (told, there.owner.told):
        selected = only(side, EnergyServiceSelected)
        assert (selected.service, selected.control_mode) == (service, mode)
        assert only(side, SessionEnded).reason is EndReason.STOPPED
    received = AcChargeLoopReceived if service.is_ac else DcChargeLoopReceived
    assert sum(isinstance(event, received) for event in there.owner.told) == TURNS
    powers = [_power(event) for event in told if isinstance(event, AcChargeLoopAnswered | DcChargeLoopAnswered)]
    # On AC in scheduled mode the vehicle sets its power by itself, and the station's stage knows charging only.
    discharging = service.is_bpt and (service is EnergyService.DC_BPT or mode is ControlMode.DYNAMIC)
    assert (min(powers) < 0) is discharging


def _power(event: AcChargeLoopAnswered | DcChargeLoopAnswered) -> float:
    if isinstance(event, DcChargeLoopAnswered):
        return event.evse_present_voltage_v * event.evse_present_current_a
    return event.evse_present_active_power.total if event.evse_present_active_power else 0.0


# ---- pause ----------------------------------------------------------------------------------------------------------


async def pause(there: Site) -> PausedSession:
    connection = await there.vehicle(EnergyService.DC_BPT, ControlMode.DYNAMIC)
    told = await drive(connection, PauseCharging())
    assert only(told, SessionEnded).reason is EndReason.PAUSED
    paused = connection.machine.paused
    assert paused is not None
    await there.free()
    there.owner.told.clear()
    return paused


async def test_a_paused_session_goes_on_over_a_new_connection(strict: Contexts) -> None:
    async with site(False, strict) as there:
        paused = await pause(there)
        kept = there.server.paused(EVSE_ID)
        assert kept is not None
        assert kept.session_id == paused.session_id
        connection = await there.vehicle(EnergyService.DC_BPT, ControlMode.DYNAMIC, paused=paused)
        told = await drive(connection, StopCharging())
        await there.free()
        assert only(told, SessionStarted).resumed
        assert only(told, SessionStarted).session_id == paused.session_id
        assert only(there.owner.told, SessionStarted).resumed
        assert not any(isinstance(event, AuthorizationRequested) for event in there.owner.told)
        assert there.server.paused(EVSE_ID) is None


async def test_a_pause_is_over_once_the_vehicle_began_afresh(strict: Contexts) -> None:
    async with site(False, strict) as there:
        paused = await pause(there)
        told = await drive(await there.vehicle(EnergyService.DC_BPT, ControlMode.DYNAMIC), StopCharging())
        await there.free()
        assert not only(told, SessionStarted).resumed
        told = await drive(
            await there.vehicle(EnergyService.DC_BPT, ControlMode.DYNAMIC, paused=paused), StopCharging()
        )
        assert not only(told, SessionStarted).resumed
        assert only(told, SessionEnded).reason is EndReason.STOPPED


async def test_a_pause_survives_a_restart_of_the_station_in_its_owners_hands(strict: Contexts) -> None:
    async with site(False, strict) as there:
        paused = await pause(there)
        kept = there.server.paused(EVSE_ID)
    async with site(False, strict) as there:
        there.server.keep_paused(EVSE_ID, kept)
        connection = await there.vehicle(EnergyService.DC_BPT, ControlMode.DYNAMIC, paused=paused)
        assert only(await drive(connection, StopCharging()), SessionStarted).resumed
    async with site(False, strict) as there:
        assert there.server.keep_paused(EVSE_ID, kept, 0.05)
        assert not there.server.keep_paused("US*V2G*E99", kept)
        await asyncio.sleep(0.1)
        connection = await there.vehicle(EnergyService.DC_BPT, ControlMode.DYNAMIC, paused=paused)
        while there.server.session(EVSE_ID) is None:
            await asyncio.sleep(0.005)
        # A vehicle is connected: what was paused before it is no more.
        assert not there.server.keep_paused(EVSE_ID, kept)
        assert not only(await drive(connection, StopCharging()), SessionStarted).resumed
    async with site(False, strict) as there:
        assert kept is not None
        there.server.keep_paused(EVSE_ID, replace(kept, peer_binding=bytes(64)))
        connection = await there.vehicle(EnergyService.DC_BPT, ControlMode.DYNAMIC, paused=paused)
        assert not only(await drive(connection, StopCharging()), SessionStarted).resumed
