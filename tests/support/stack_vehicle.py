"""A vehicle on the package alone: one session of so many charge-loop turns, then it stops."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from pyiso15118.aio import EvccConnection, connect, discover
from pyiso15118.commands import ContactorsClosed, StopCharging, UpdateAcVehicle, UpdateDcVehicle, VehicleState
from pyiso15118.evcc import EvccConfig
from pyiso15118.events import (
    AcChargeLoopAnswered,
    AcPower,
    ControlMode,
    DcChargeLoopAnswered,
    EnergyNeeds,
    EnergyService,
    MobilityNeedsMode,
    PreChargeReached,
)
from pyiso15118.sdp import Security
from pyiso15118.security import ContractCredential, KeySigner, TlsProfile, client_context
from pyiso15118.timers import EvccTimers
from support.stack import AC_LIMITS, DC_LIMITS, EventLog, Tls, read_job

PACK_V = 400.0
POWER_W = 10_000.0
NEEDS = EnergyNeeds(departure_time_s=7200, target_energy_wh=20_000, max_energy_wh=40_000, min_energy_wh=-20_000)
TIMERS = EvccTimers(charge_loop_s=3.0, message_s=5.0, charge_loop_period_s=0.02, ongoing_period_s=0.05)
"""The peer's Java gateway is slow while it is cold, and the tests want turns, not time."""


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """``chain``: PEM files, leaf first."""

    chain: list[str]
    key: str
    password: str | None = None
    emaid: str


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """``tls`` None: plain TCP. ``contract``: for Plug and Charge."""

    interface: str
    service: str
    mode: str
    needs: str = "BY_EVCC"
    tls: Tls | None = None
    contract: Contract | None = None
    turns: int = 22


def vehicle(service: EnergyService) -> VehicleState:
    """Asks to discharge where the service allows it."""
    power_w = -POWER_W if service.is_bpt else POWER_W
    if service.is_ac:
        return UpdateAcVehicle(limits=AC_LIMITS, needs=NEEDS, present_active_power=AcPower(power_w), present_soc_pct=50)
    return UpdateDcVehicle(
        present_voltage_v=PACK_V,
        target_voltage_v=PACK_V,
        limits=DC_LIMITS,
        needs=NEEDS,
        present_soc_pct=50,
        target_current_a=power_w / PACK_V,
    )


def credential(contract: Contract) -> ContractCredential:
    certificates = [x509.load_pem_x509_certificate(Path(path).read_bytes()) for path in contract.chain]
    password = None if contract.password is None else contract.password.encode()
    return ContractCredential(
        chain=tuple(certificate.public_bytes(Encoding.DER) for certificate in certificates),
        signer=KeySigner(load_pem_private_key(Path(contract.key).read_bytes(), password)),
        emaid=contract.emaid,
    )


async def drive(connection: EvccConnection, turns: int, log: EventLog) -> None:
    log.connected(connection)
    done = 0
    async for event in connection.events():
        log.write(event)
        match event:
            case PreChargeReached():
                connection.command(ContactorsClosed())
            case DcChargeLoopAnswered() | AcChargeLoopAnswered():
                done += 1
                if done == turns:
                    connection.command(StopCharging())
    await connection.closed()


async def main() -> None:
    job = read_job(Job)
    log = EventLog()
    service = EnergyService[job.service]
    config = EvccConfig(
        evccid="WMIV1234567890ABCDEX",
        services=(service,),
        control_modes=(ControlMode[job.mode],),
        mobility_needs_modes=(MobilityNeedsMode[job.needs],),
        contract=None if job.contract is None else credential(job.contract),
        profile=TlsProfile.COMPAT,
        timers=TIMERS,
        welding_detection_s=0.2,
    )
    tls = None
    if job.tls is not None:
        tls = client_context(TlsProfile.COMPAT, *job.tls.files, password=job.tls.password)
    found = await discover(job.interface, security=Security.NONE if tls is None else Security.TLS)
    log.note("Discovered", address=str(found.address), security=found.security.name)
    connection = await connect(found.address, config, tls=tls, profile=TlsProfile.COMPAT, vehicle=vehicle(service))
    await drive(connection, job.turns, log)


if __name__ == "__main__":
    asyncio.run(main())
