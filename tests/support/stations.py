"""Charging stations and vehicles over real sockets on ::1, and what stands between them."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pyiso15118.aio import Address, Endpoint, EvccConnection, SeccConnection, connect
from pyiso15118.commands import (
    Authorize,
    CableCheckFinished,
    ContactorsClosed,
    StopCharging,
    UpdateDcEvse,
    UpdateDcVehicle,
)
from pyiso15118.evcc import EvccConfig
from pyiso15118.events import (
    AuthorizationRequested,
    CableCheckRequested,
    DcChargeLoopAnswered,
    DcChargeLoopReceived,
    DcLimits,
    Event,
    PowerDeliveryStopped,
    PreChargeReached,
    PreChargeRequested,
    SessionEnded,
)
from pyiso15118.secc import SeccConfig
from pyiso15118.security import (
    Curve,
    Pki,
    TlsEndpoint,
    TlsProfile,
    client_context,
    server_context,
    write_credential,
    write_trust_anchor,
)
from pyiso15118.timers import EvccTimers

QUICK = EvccTimers(charge_loop_period_s=0.01, ongoing_period_s=0.01)
STRICT, COMPAT = TlsProfile.STRICT, TlsProfile.COMPAT


class Contexts:
    def __init__(
        self, folder: Path, curve: Curve, profile: TlsProfile, make_server: Callable[..., TlsEndpoint] = server_context
    ) -> None:
        pki = Pki(not_before=datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1), curve=curve)
        secc = write_credential(pki.secc("US*V2G*E1"), folder, "secc")
        vehicle = write_credential(pki.vehicle("WMIV1234567890ABCDEX"), folder, "vehicle")
        self.vehicle = vehicle
        v2g = self.v2g = write_trust_anchor(pki.v2g_root, folder, "v2g")
        oem = write_trust_anchor(pki.oem_root, folder, "oem")

        def server(*more_anchors: Path) -> TlsEndpoint:
            return make_server(profile, secc.chain, secc.key, [oem, *more_anchors])

        self.trusting = server
        self.server = server()
        self.client = client_context(profile, vehicle.chain, vehicle.key, [v2g])


@dataclass
class Station:
    """Owner of every session: a perfect EVSE. Keeps what it was told, by EVSE."""

    limits: DcLimits
    told: dict[str, list[Event]] = field(default_factory=dict)
    connections: list[SeccConnection] = field(default_factory=list)
    current_a: float = -25.0

    def endpoint(self, number: int, **changes: Any) -> Endpoint:
        config = SeccConfig(evse_id=f"US*V2G*E{number}", limits=self.limits, **changes.pop("config", {}))
        fields: dict[str, Any] = {
            "config": config,
            "interface": "lo",
            "sdp_port": None,
            "allow_plain": "tls" not in changes,
        }
        return Endpoint(**(fields | changes))

    async def serve(self, connection: SeccConnection) -> None:
        self.connections.append(connection)
        told = self.told.setdefault(connection.endpoint.evse_id, [])
        evse = UpdateDcEvse(present_voltage_v=0.0, present_current_a=0.0, limits=self.limits, contactors_closed=False)

        def update(**changes: Any) -> None:
            nonlocal evse
            evse = replace(evse, **changes)
            connection.command(evse)

        async for event in connection.events():
            told.append(event)
            match event:
                case AuthorizationRequested():
                    connection.command(Authorize(granted=True))
                case CableCheckRequested():
                    update(contactors_closed=True)
                    connection.command(CableCheckFinished(passed=True))
                case PreChargeRequested():
                    update(present_voltage_v=event.target_voltage_v)
                case DcChargeLoopReceived():
                    update(present_current_a=self.current_a)
                case PowerDeliveryStopped():
                    update(present_current_a=0.0, present_voltage_v=0.0)
        await connection.closed()

    def end(self, number: int) -> SessionEnded:
        last = self.told[f"US*V2G*E{number}"][-1]
        assert isinstance(last, SessionEnded)
        return last


async def drive(connection: EvccConnection, loops: int, at_loop: Callable[[int], None] = lambda n: None) -> list[Event]:
    """A perfect vehicle: charges for so many loops and stops."""
    told: list[Event] = []
    done = 0
    async for event in connection.events():
        told.append(event)
        match event:
            case PreChargeReached():
                connection.command(ContactorsClosed())
            case DcChargeLoopAnswered():
                done += 1
                at_loop(done)
                if done == loops:
                    connection.command(StopCharging())
    await connection.closed()
    return told


async def charge(
    address: Address,
    vehicle: UpdateDcVehicle,
    tls: TlsEndpoint | ssl.SSLContext | None = None,
    profile: TlsProfile = STRICT,
    loops: int = 5,
) -> list[Event]:
    config = EvccConfig(evccid="WMIV1234567890ABCDEX", timers=QUICK)
    connection = await connect(address, config, tls=tls, profile=profile, vehicle=vehicle)
    return await drive(connection, loops)


class Spy:
    """Stands between a vehicle's connection and its transport."""

    def __init__(self, connection: EvccConnection, after_write: Callable[[int], None] = lambda n: None) -> None:
        self._transport = connection._transport
        self._after_write = after_write
        self.writes: list[bytes] = []
        connection._transport = self  # type: ignore[assignment]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        self.writes.append(data)
        self._transport.write(data)
        self._after_write(len(self.writes))
