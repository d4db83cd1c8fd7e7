"""The charging station and the vehicle that README.md shows charge with each other, as printed."""

import ast
import re
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

from pyiso15118 import commands, events
from pyiso15118.aio import Endpoint, SeccServer, connect
from pyiso15118.evcc import EvccConfig
from pyiso15118.secc import SeccConfig

README = Path(__file__).resolve().parents[2] / "README.md"
LIMITS = events.DcLimits(
    max_charge_power_w=22_000.0,
    max_charge_current_a=60.0,
    max_discharge_power_w=22_000.0,
    max_discharge_current_a=60.0,
    max_voltage_v=500.0,
    min_voltage_v=200.0,
)


def functions() -> dict[str, Any]:
    """The functions of the README's Python blocks, with the names that it says it imports."""
    names: dict[str, Any] = {"replace": replace, "connect": connect, "EvccConfig": EvccConfig, "LIMITS": LIMITS}
    names |= vars(commands) | vars(events)
    for block in re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL):
        tree = ast.parse(textwrap.dedent(block))
        if any(isinstance(node, ast.AsyncFunctionDef) for node in tree.body):
            exec(compile(tree, "README.md", "exec"), names)  # noqa: S102
    return names


async def test_the_readmes_station_and_vehicle_charge_and_stop() -> None:
    names = functions()
    told: list[events.Event] = []

    async def on_session(session: Any) -> None:
        listen = session.events

        async def overheard() -> Any:
            async for event in listen():
                told.append(event)
                yield event

        session.events = overheard
        await names["evse"](session)

    config = SeccConfig(evse_id="US*V2G*E1", limits=LIMITS)
    endpoint = Endpoint(config=config, interface="lo", host="::1", sdp_port=None, allow_plain=True)
    async with SeccServer([endpoint], on_session) as server:
        await names["vehicle"](server.address("US*V2G*E1"))
    assert isinstance(told[-1], events.SessionEnded)
    assert told[-1].reason is events.EndReason.STOPPED
    assert sum(isinstance(event, events.DcChargeLoopReceived) for event in told) >= 10
