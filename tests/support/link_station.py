"""A station without TLS on one interface, for network namespaces: ``python -m support.link_station evse0 [MAC]``.

With a MAC address, the EVSE has a powerline link, and that is the vehicle that was matched there. Tells one JSON object
a line: that it listens, every record of its log, and each vehicle's MAC address.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Mapping
from typing import Any

import msgspec

from pyiso15118.aio import SeccConnection, SeccServer
from support.fleet.parts import EVSE_LIMITS
from support.stations import Station
from v2g.clock import SystemClock
from v2g.config.schema import DcEvse
from v2g.control.messages_plc import PlcLine, PlcState
from v2g.orchestrator.plc_admission import Admission
from v2g.orchestrator.plc_gate import PlcGate
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


class Matched:
    """A driver that has matched one vehicle."""

    def __init__(self, evse_id: str, interface: str, mac: str) -> None:
        line = PlcLine(evse_id=evse_id, interface=interface, state=PlcState.LINKED, vehicle_mac=mac)
        self.lines: Mapping[str, PlcLine] = {evse_id: line}
        modbus = {"modbus": {"host": "192.0.2.1"}}
        raw = {"kind": "DC", "id": evse_id, "interface": interface, "inverter": modbus, "dc": modbus, "plc": {}}
        self.admission = Admission(PlcGate((msgspec.convert(raw, DcEvse),), self), SystemClock())

    def silent(self, now_s: float) -> str:
        return ""


async def main(interface: str, mac: str | None = None) -> None:
    endpoint = Station(limits=EVSE_LIMITS).endpoint(1, interface=interface, sdp_port=15118)
    admission = Matched(endpoint.evse_id, interface, mac).admission if mac is not None else None
    async with SeccServer([endpoint], serve, admits=admission.admits if admission is not None else None) as server:
        if admission is not None:
            admission.solicit = server.solicit
        tell(listening=server.address(endpoint.evse_id).port)
        await asyncio.Event().wait()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, handlers=[Told()])
    asyncio.run(main(*sys.argv[1:]))
