"""The station of ``support.stack_station`` at fixed ports, without TLS: a SECC behind a firewall."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace

import msgspec

from pyiso15118.aio import SeccServer
from support import stack_station
from support.stack import read_job


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """``ports``: interface -> its TCP port; SDP is at the standard's."""

    ports: dict[str, int]


async def main() -> None:
    job = read_job(Job)
    owner = stack_station.Owner(stack_station.Job(interface="", ac=False))
    endpoints = []
    for number, (interface, port) in enumerate(job.ports.items(), 1):
        endpoint = stack_station.endpoint(stack_station.Job(interface=interface, ac=False))
        config = replace(endpoint.config, evse_id=f"US*V2G*E{number}")
        endpoints.append(replace(endpoint, config=config, tcp_port=port))
    async with SeccServer(endpoints, owner.serve):
        owner.listening()
        await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
