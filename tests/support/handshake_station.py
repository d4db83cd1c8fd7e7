"""A station with one EVSE of each TLS profile, in a process of its own, for the show of handshakes.

``python -m support.handshake_station`` reads a job in JSON from its standard input and tells one JSON object a line:
where it listens, every record of its log, and each session's begin and end. It ends with its standard input.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from pyiso15118.aio import SeccConnection, SeccServer, quietlog
from pyiso15118.events import SessionEnded, SessionStarted
from pyiso15118.security import TlsEndpoint, TlsProfile, server_context
from support.fleet.parts import EVSE_LIMITS
from support.stations import Station

QUIET_S = 0.05
"""After this an EVSE is free again."""


def tell(**said: Any) -> None:
    print(json.dumps(said), flush=True)


class Told(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        tell(log=record.getMessage(), level=record.levelname)


def context(profile: TlsProfile, job: dict[str, Any]) -> TlsEndpoint:
    revoked, staple = set(job["revoked"]), bytes.fromhex(job["staple"])

    def is_revoked(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
        return certificate.fingerprint(hashes.SHA256()).hex() in revoked

    return server_context(
        profile,
        Path(job["chain"]),
        Path(job["key"]),
        [Path(anchor) for anchor in job["trust"]],
        require_client_certificate=profile is TlsProfile.STRICT,
        is_revoked=is_revoked,
        staple=lambda: staple,
    )


async def main() -> None:
    job = json.loads(sys.stdin.readline())
    station = Station(limits=EVSE_LIMITS)

    async def serve(connection: SeccConnection) -> None:
        tell(session=connection.endpoint.evse_id, certificate=getattr(connection.peer_identity, "subject", None))
        await station.serve(connection)
        events = station.told.pop(connection.endpoint.evse_id)
        end = events[-1]
        assert isinstance(end, SessionEnded)
        begun = any(isinstance(event, SessionStarted) for event in events)
        said = {"ended": end.reason.value, "detail": end.detail, "begun": begun}
        asyncio.get_running_loop().call_later(QUIET_S, lambda: tell(**said))

    endpoints = [
        station.endpoint(number, tls=context(profile, job[profile]), profile=profile)
        for number, profile in enumerate(TlsProfile, start=1)
    ]
    async with SeccServer(endpoints, serve) as server:
        tell(listening={e.profile.value: server.address(e.evse_id).port for e in endpoints})
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    # Every line of the show is wanted.
    quietlog.BURST = 1000
    logging.basicConfig(level=logging.INFO, handlers=[Told()])
    asyncio.run(main())
