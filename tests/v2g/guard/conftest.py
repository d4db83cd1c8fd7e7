from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from support.tick_site import PlayedWaveform, Site, SlowBreaker, synthesise
from support.wired_plant import Bench, MakeBench, running

MakeSite = Callable[..., Site]


@pytest.fixture
def make_site(tmp_path: Path) -> MakeSite:
    def make(segments: Sequence[dict[str, Any]], sample_rate_hz: int = 3840, **changes: Any) -> Site:
        waveform = PlayedWaveform(synthesise(segments, sample_rate_hz), sample_rate_hz)
        return Site(waveform, SlowBreaker(), tmp_path / "trip-latch.json", **changes)

    return make


@pytest.fixture
async def make_bench(tmp_path: Path) -> AsyncIterator[MakeBench]:
    async with contextlib.AsyncExitStack() as stack:

        async def make(*args: Any, **changes: Any) -> Bench:
            return await stack.enter_async_context(running(Bench(tmp_path, *args, **changes)))

        yield make
