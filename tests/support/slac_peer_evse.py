"""An EVSE that nobody here wrote: pyslac's, run by a Python that has it. Prints what it does, one word a line.

``python slac_peer_evse.py INTERFACE``: ``ready`` once its modem has its key, ``matching``, then ``matched NID NMK`` or
``failed``.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from pyslac.environment import Config  # type: ignore[import-not-found]
from pyslac.session import SlacEvseSession, SlacSessionController  # type: ignore[import-not-found]

PATIENCE_S = 40.0
MATCHED = 2


class Station(SlacSessionController):  # type: ignore[misc]
    async def notify_matching_ongoing(self, evse_id: str) -> None:
        print("matching", flush=True)

    async def notify_matching_failed(self, evse_id: str) -> None:
        print("failed", flush=True)

    async def enable_hlc_charging(self, evse_id: str) -> None:
        print("offers 5 %", flush=True)


async def main(interface: str) -> None:
    config = Config()
    config.load_envs()
    session: Any = SlacEvseSession("DE*PEER*E1", interface, config)
    await session.evse_set_key()
    print("ready", flush=True)
    station = Station()
    await station.process_cp_state(session, "B")
    for _ in range(round(PATIENCE_S / 0.05)):
        await asyncio.sleep(0.05)
        if session.state == MATCHED:
            print(f"matched {bytes(session.nid).hex()} {bytes(session.nmk).hex()}", flush=True)
            await asyncio.sleep(15)
            return
    print("failed", flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
