"""The codec's code is generated beside what the event loop does, a message at a time."""

from __future__ import annotations

import asyncio

from pyiso15118 import exi
from pyiso15118.messages import Namespace


async def prepare_codec() -> None:
    """A few milliseconds at most between two turns of the loop. What a session needs before is generated then."""
    for _ in exi.preparing(Namespace.APP_PROTOCOL, Namespace.COMMON_MESSAGES, Namespace.AC, Namespace.DC, sends="Res"):
        await asyncio.sleep(0)
