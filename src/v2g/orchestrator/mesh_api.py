"""The methods ``mesh.show``, ``mesh.ping``, ``mesh.cap`` and ``mesh.uncap``."""

from __future__ import annotations

from typing import Any, Protocol

from v2g.control.messages import NoParams
from v2g.control.messages_mesh import (
    MeshCapParams,
    MeshCapResult,
    MeshPingParams,
    MeshPingResult,
    MeshResult,
    MeshUncapParams,
)
from v2g.control.server import Caller, Method, Role
from v2g.units import format_duration, format_power


class MeshSource(Protocol):
    """What the methods tell of; see :class:`v2g.orchestrator.mesh_link.MeshLink`."""

    def result(self) -> MeshResult: ...

    async def ping(self, node: str, count: int) -> tuple[tuple[float | None, ...], int | None]: ...

    def cap(self, group: str, import_w: float | None, export_w: float | None, valid_s: float, reason: str) -> None: ...

    def uncap(self, group: str) -> None: ...


class MeshApi:
    """Refusals come from the source, as :class:`v2g.control.server.Refused`."""

    def __init__(self, source: MeshSource) -> None:
        self._source = source

    def methods(self) -> tuple[Method[Any], ...]:
        return (
            Method("mesh.show", Role.VIEWER, NoParams, self.show),
            Method("mesh.ping", Role.VIEWER, MeshPingParams, self.ping),
            Method("mesh.cap", Role.UTILITY, MeshCapParams, self.cap),
            Method("mesh.uncap", Role.UTILITY, MeshUncapParams, self.uncap),
        )

    async def show(self, params: NoParams, caller: Caller) -> MeshResult:
        return self._source.result()

    async def ping(self, params: MeshPingParams, caller: Caller) -> MeshPingResult:
        round_trips_ms, hops = await self._source.ping(params.node, params.count)
        return MeshPingResult(node=params.node, round_trips_ms=round_trips_ms, hops=hops)

    async def cap(self, params: MeshCapParams, caller: Caller) -> MeshCapResult:
        reason = params.reason or f"by {caller.user}"
        self._source.cap(params.group, params.import_w, params.export_w, params.valid_s, reason)
        told = [
            f"{name} at most {format_power(limit_w)}"
            for name, limit_w in (("import", params.import_w), ("export", params.export_w))
            if limit_w is not None
        ]
        limits = " and ".join(told) or "its configured limits"
        lasts = format_duration(params.valid_s)
        return MeshCapResult(message=f"{params.group}: {limits} for {lasts}, told to all members")

    async def uncap(self, params: MeshUncapParams, caller: Caller) -> MeshCapResult:
        self._source.uncap(params.group)
        return MeshCapResult(message=f"the cap of {params.group} ends within seconds")
