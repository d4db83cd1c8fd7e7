"""A daemon's place in a mesh; without a section ``mesh`` none, and nothing of the mesh is imported then."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeAlias

from v2g.clock import Clock
from v2g.config.schema import Config
from v2g.control.messages_mesh import MeshResult
from v2g.control.server import Method, Refused
from v2g.orchestrator.mesh_api import MeshApi
from v2g.orchestrator.site import Site
from v2g.sessions.supervisor import Log

if TYPE_CHECKING:
    from v2g.orchestrator.mesh_link import MeshLink

    MeshPlace: TypeAlias = "NoMesh | MeshLink"

NOT_ENTITLED: Final = "not_entitled"
"""Beside :class:`v2g.mesh.trust.Drop`: the signature holds, and its sender may not say that."""
NO_MESH: Final = "this controller is in no mesh (mesh: in the configuration)"


def mesh_place(config: Config, site: Site, clock: Clock, log: Log) -> MeshPlace:
    """By the configuration. ``log``: the one of communication."""
    if config.mesh is None:
        return NoMesh()
    from v2g.orchestrator.mesh_link import MeshLink

    return MeshLink(config, config.mesh, site, clock, log)


class NoMesh:
    """As :class:`v2g.orchestrator.mesh_link.MeshLink`: knows nobody, limits nothing, and says so when asked."""

    loss: Final = None

    def methods(self) -> tuple[Method[Any], ...]:
        return MeshApi(self).methods()

    async def start(self, stack: AsyncExitStack) -> None:
        pass

    async def rejoin(self) -> None:
        pass

    def on_cycle(self, now_s: float) -> None:
        pass

    def problems(self) -> tuple[str, ...]:
        return ()

    def result(self) -> MeshResult:
        return MeshResult(problem=NO_MESH)

    async def ping(self, node: str, count: int) -> NoReturn:
        raise Refused(NO_MESH, code="NO_MESH")

    def cap(self, group: str, import_w: float | None, export_w: float | None, valid_s: float, reason: str) -> None:
        raise Refused(NO_MESH, code="NO_MESH")

    def uncap(self, group: str) -> None:
        raise Refused(NO_MESH, code="NO_MESH")
