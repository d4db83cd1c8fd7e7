"""Changes of settings by people, one at a time and each to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from v2g.control.server import Refused

FINISH_CHANGE_S = 15.0
"""More than a change and its undoing take."""
T = TypeVar("T")


class Changes:
    """Shared by all who change settings of the guard or of ``wires``."""

    def __init__(self) -> None:
        self._change: asyncio.Task[Any] | None = None
        self._what = ""

    async def alone(self, what: str, change: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """One change at a time, and to its end: whoever asked for it may give up meanwhile.

        ``what`` is told to who comes meanwhile, and is refused.
        """
        if self._change is not None and not self._change.done():
            raise Refused(f"{self._what}; try again when that is done", code="BUSY")
        task = asyncio.get_running_loop().create_task(change(), name=what)
        self._change, self._what = task, what
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Let a change be finished or taken back."""
        if self._change is not None:
            await asyncio.wait((self._change,), timeout=FINISH_CHANGE_S)
