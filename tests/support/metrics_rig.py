"""A part of the daemon that serves metrics, on a site whose devices are a few lines each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec

from support.control_world import World
from support.kept_log import KeptLog
from v2g.config.schema_mesh import Heartbeat as HeartbeatConfig
from v2g.control.messages_mesh import MeshResult
from v2g.control.messages_pki import PkiStatusResult
from v2g.orchestrator.heartbeat import Heartbeat
from v2g.orchestrator.metrics_part import MetricsPart
from v2g.telemetry.history import HistoryHealth
from v2g.telemetry.metrics import Metric, Page


class MetricsRig:
    """``part`` of a daemon with the site of ``world``; ``settings``: of the section ``metrics``."""

    def __init__(self, world: World, folder: Path, *, probe: str = "", **settings: Any) -> None:
        self.world, self.log = world, KeptLog()
        config = world.site.config
        config = msgspec.structs.replace(
            config,
            metrics=msgspec.structs.replace(config.metrics, **settings),
            paths=msgspec.structs.replace(config.paths, run_dir=str(folder)),
        )
        self.mesh = MeshResult(problem="no mesh")
        self.pki = PkiStatusResult(profiles=())
        self.health = HistoryHealth(problem="", dropped_rows=2, written_rows=40, size_bytes=8192)
        self.heartbeat = Heartbeat(HeartbeatConfig(probe=probe), self.log, folder, clock=world.clock)
        self.part = MetricsPart(
            SimpleNamespace(  # type: ignore[arg-type]
                loaded=SimpleNamespace(config=config),
                paths=SimpleNamespace(run_dir=folder, state_dir=folder / "none", log_dir=folder),
                site=world.site,
                sessions=world.sessions,
                clock=world.clock,
                log=self.log,
                status=world.api.snapshot,
                around=SimpleNamespace(
                    mesh=SimpleNamespace(result=lambda: self.mesh),
                    credentials=SimpleNamespace(status=lambda: self.pki),
                    chronicle=SimpleNamespace(health=lambda: self.health, queued_rows=7),
                    heartbeat=self.heartbeat,
                ),
            )
        )

    def page(self) -> Page:
        return self.part.page()

    def cycles(self, count: int = 1) -> None:
        for _ in range(count):
            self.world.run()
            self.part.on_cycle(self.world.clock.monotonic_s())


def value(page: Page, metric: Metric, *labels: str) -> float | None:
    return page.values.get(metric, {}).get(labels)


def series(page: Page) -> Mapping[str, Sequence[tuple[str, ...]]]:
    """By metric, the label sets it has."""
    found: dict[str, Sequence[tuple[str, ...]]] = {metric.name: tuple(keys) for metric, keys in page.values.items()}
    return found | {metric.name: tuple(keys) for metric, keys in page.histograms.items()}
