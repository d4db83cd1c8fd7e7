"""A station without TLS on one interface, for tests in network namespaces: ``python -m support.link_station evse0``.

Tells one JSON object a line: that it listens, every record of its log, and each vehicle's MAC address.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from typing import Any

from pyiso15118.aio import SeccConnection, SeccServer
from support.fleet.parts import EVSE_LIMITS
from support.stations import Station
from v2g.sessions.supervisor import neighbour_mac


def tell(**said: Any) -> None:
    print(json.dumps(said), flush=True)


class Told(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        tell(code=getattr(record, "code", None), text=record.getMessage())


async def serve(connection: SeccConnection) -> None:
    tell(mac=neighbour_mac(connection.peer_address), peer=connection.peer_address.host)
    async for _ in connection.events():
        pass


async def main(interface: str) -> None:
    endpoint = Station(limits=EVSE_LIMITS).endpoint(1, interface=interface, sdp_port=15118)
    async with SeccServer([endpoint], serve) as server:
        tell(listening=server.address(endpoint.evse_id).port)
        await asyncio.Event().wait()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, handlers=[Told()])
    asyncio.run(main(sys.argv[1]))
