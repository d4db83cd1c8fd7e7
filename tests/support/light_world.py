"""Light nodes on a wire in memory, in virtual time: everything but Zenoh is their own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random

import msgspec
import pytest

from v2g.clock import ManualClock, SystemClock
from v2g.mesh.memory import MemoryEngine, MemoryNet, Wire
from v2g.pki.mesh_ca import CRL, MeshAuthority
from v2g.simulation import layout_mesh
from v2g.simulation.layout_mesh import HEAD, MeshPlan, Shape
from v2g.simulation.light_config import LightModel, LightNodeConfig, NodeReading, Request
from v2g.simulation.light_node import LightNode, LightNodes

TICK_S = 0.1
RATED_W = 60_000.0


class LightWorld:
    """All nodes of a flat plan in one :class:`LightNodes`; links are those of the plan, 5 ms each."""

    def __init__(self, patch: pytest.MonkeyPatch, folder: Path, plan: MeshPlan, models: Mapping[str, LightModel]):
        self.folder = folder
        # Certificates are valid for whoever serves the same nodes in real time, too.
        self.clock = ManualClock(unix_s=SystemClock().unix_s())
        self.net = MemoryNet(Random(1), self.clock.monotonic_s())
        for one, other in plan.links:
            self.net.link(one, other, Wire(delay_s=0.005), Wire(delay_s=0.005))
        patch.setattr("v2g.mesh.settings.ZenohEngine", self._engine)
        self.authority = MeshAuthority(self.clock.unix_s())
        self.meter_file = folder / "meter"
        self.metering = False
        self.configs: list[LightNodeConfig] = layout_mesh.light_nodes(
            plan,
            self.authority,
            folder,
            # What is set at the control socket is set in them.
            {name: msgspec.structs.replace(each) for name, each in models.items()},
            meter_file=self.meter_file,
        )
        self.process = LightNodes(
            layout_mesh.LightConfig(control_socket=str(folder / "c.sock"), nodes=self.configs), self.clock
        )

    @property
    def nodes(self) -> Mapping[str, LightNode]:
        return self.process.nodes

    @property
    def total_w(self) -> float:
        """What really flows."""
        return sum(node.transformer.flow_w for node in self.nodes.values())

    async def start(self) -> None:
        for node in self.nodes.values():
            await node.up()
        await self.run(0.0)

    async def run(self, seconds: float) -> float:
        """The most that flowed meanwhile, W."""
        most_w = -1e9
        for _ in range(round(seconds / TICK_S) + 1):
            self.clock.advance(TICK_S)
            # Tasks of the runners take their turn.
            await asyncio.sleep(0)
            self.net.advance(self.clock.monotonic_s())
            if self.metering:
                self.meter(self.total_w)
            for node in self.nodes.values():
                node.step()
                if node.runner is None:
                    node.stand_still()
            most_w = max(most_w, self.total_w)
        return most_w

    async def end(self) -> None:
        for node in self.nodes.values():
            await node.down()

    async def say(self, **request: object) -> dict[str, object]:
        """As at the control socket."""
        return await self.process.handle(msgspec.convert(request, Request))

    def read(self, name: str) -> NodeReading:
        return self.nodes[name].reading()

    def meter(self, flow_w: float) -> None:
        self.meter_file.write_text(f"{flow_w:.1f}", encoding="ascii")
        os.utime(self.meter_file, (self.clock.unix_s(), self.clock.unix_s()))

    def revoke(self, *names: str) -> None:
        for config in self.configs:
            folder = Path(config.dir) / CRL
            folder.mkdir(exist_ok=True)
            (folder / "mesh.pem").write_bytes(self.authority.crl(names))

    def _engine(self, settings: object, clock: object) -> MemoryEngine:
        del clock
        return self.net.node(settings.node)  # type: ignore[attr-defined]


def line_of(names: Sequence[str], *, feeder_kw: float, substation_kw: float | None = None) -> MeshPlan:
    """Ports are of no consequence: nobody listens."""
    head = HEAD if HEAD in names else None
    return layout_mesh.flat_plan(
        names,
        range(20_000, 20_000 + len(names)),
        Shape.LINE,
        feeder_kw=feeder_kw,
        rated_kw=RATED_W / 1e3,
        head=head,
        substation_kw=substation_kw,
    )


def model(base_w: float, want_w: float = 0.0, noise_w: float = 0.0) -> LightModel:
    """``want_w``: above 0 charges, below gives back."""
    return LightModel(
        rated_w=RATED_W,
        base_w=base_w,
        noise_w=noise_w,
        want_charge_w=max(0.0, want_w),
        want_discharge_w=max(0.0, -want_w),
    )


def head_model() -> LightModel:
    return LightModel(rated_w=0.0, base_w=0.0, noise_w=0.0)
