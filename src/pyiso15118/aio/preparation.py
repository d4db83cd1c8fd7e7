"""The codec's code is generated beside what the event loop does, a message at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from pyiso15118 import exi
from pyiso15118.messages import Namespace
from pyiso15118.protocols import DER_PROTOCOLS


async def prepare_codec(protocols: Iterable[Namespace] = (), *, sends: str = "Res") -> None:
    """A few milliseconds at most between two turns of the loop. What a session needs before is generated then.

    ``protocols``: those of DER cost more, and are generated only where they are among these."""
    usual = (Namespace.APP_PROTOCOL, Namespace.COMMON_MESSAGES, Namespace.AC, Namespace.DC)
    wanted = sorted(DER_PROTOCOLS.intersection(protocols))
    for _ in exi.preparing(*usual, *wanted, sends=sends):
        await asyncio.sleep(0)
