"""The meter at the head of a simulated feeder: the sum of what really flows, past everything that nodes tell."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from math import isfinite, nan
from pathlib import Path
from typing import Protocol

import msgspec

from v2g.simulation.light_config import LightClient
from v2g.simulation.line_client import NotReachable, RequestRefused
from v2g.simulation.plant_client import PlantClient

PERIOD_S = 0.5
_TIMEOUT_S = 1.0


class FlowSource(Protocol):
    """Something whose flow is part of the feeder's. Blocking."""

    def flow_w(self) -> float:
        """W, positive downstream. Raises :class:`v2g.simulation.line_client.NotReachable`, ``RequestRefused``."""

    def close(self) -> None: ...


class PlantFlow:
    """Of a whole controller's transformer."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._client: PlantClient | None = None

    def flow_w(self) -> float:
        if self._client is None:
            self._client = PlantClient(self._path, timeout_s=_TIMEOUT_S)
        return self._client.measure().transformer.load_w

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()


class LightFlow:
    """Of all nodes of one process of light nodes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._client: LightClient | None = None

    def flow_w(self) -> float:
        if self._client is None:
            self._client = LightClient(self._path, timeout_s=_TIMEOUT_S)
        return sum(self._client.flows_w().values())

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()


class FeederMeter:
    """:meth:`run` writes the sum into ``file`` twice a second, where heads read it; :attr:`total_w` is the last one.

    While any source does not answer the sum is not known: NaN, in the file as well.
    """

    def __init__(self, file: Path, sources: Sequence[FlowSource]) -> None:
        self.file = file
        self.total_w = nan
        self._sources = sources

    async def run(self) -> None:
        try:
            while True:
                await asyncio.to_thread(self.measure)
                await asyncio.sleep(PERIOD_S)
        finally:
            for source in self._sources:
                source.close()

    def measure(self) -> None:
        """Ask all, and write. Blocking."""
        self.total_w = sum(self._flow_w(source) for source in self._sources)
        staged = self.file.with_suffix(".new")
        # Without its directory there is nobody left to read it.
        with contextlib.suppress(OSError):
            staged.write_text(f"{self.total_w:.1f}", encoding="ascii")
            staged.replace(self.file)

    @staticmethod
    def _flow_w(source: FlowSource) -> float:
        try:
            flow_w = source.flow_w()
        except (NotReachable, RequestRefused, msgspec.MsgspecError):
            source.close()
            return nan
        return flow_w if isfinite(flow_w) else nan
