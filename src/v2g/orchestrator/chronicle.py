"""What the daemon writes down as it goes, and takes up again after a restart: the history and the engine's memory."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from v2g.config.protection import transformer_rated_a
from v2g.config.schema import Config
from v2g.guard.quality_report import read_report
from v2g.orchestrator.harmonics import load_f_hl
from v2g.orchestrator.recorder import Recorder
from v2g.orchestrator.site import Site
from v2g.sessions.supervisor import Log
from v2g.telemetry.history import History, HistoryError, HistoryHealth, load_kept
from v2g.telemetry.history_words import KEPT_AGAIN, NOT_KEPT
from v2g.thermal.engine import EngineMemory
from v2g.thermal.forecast import ForecastMemory

_T = TypeVar("_T")

MEMORY_NAME = "thermal"
KEEP_EVERY_S = 60.0
LEARNED_NAME = "forecast"
LEARNED_EVERY_S = 3_600.0
"""Some 100 kB each time: by the minute it would be 150 MB a day onto a flash memory."""
HARMONICS_EVERY_S = 1.0


class Chronicle:
    """Beside the control cycle: it is told of every one, and never keeps it waiting for a disk."""

    def __init__(self, config: Config, path: Path, quality_report: Path, log: Log, *, speed: float = 1.0) -> None:
        """``quality_report``: where ``v2g-guard quality`` tells its figures; ``speed``: of the thermal clock."""
        self._path = path
        self._quality_report = quality_report
        self._rated_a = transformer_rated_a(config)
        self._log = log
        self._history = History(
            path,
            keep_days=config.history.keep_days,
            max_bytes=config.history.max_mb << 20,
            on_problem=self._on_problem,
        )
        self._recorder = Recorder(self._history, [evse.id for evse in config.evses], speed=speed)
        self._kept_at_s = self._harmonics_at_s = -1e9
        self._learned_at_s: float | None = None
        self._problem = ""

    def recall(self) -> EngineMemory:
        """What the thermal engine knew before the restart. What cannot be read is said, and begins anew."""
        memory = self._load(MEMORY_NAME, EngineMemory, "temperatures, loss of life and an authorised regime")
        learned = self._load(LEARNED_NAME, ForecastMemory, "what was learned of base load and ambient")
        return msgspec.structs.replace(memory or EngineMemory(), forecast=learned)

    def _load(self, name: str, kind: type[_T], what: str) -> _T | None:
        try:
            data = load_kept(self._path, name)
            return None if data is None else msgspec.json.decode(data, type=kind)
        except (HistoryError, msgspec.MsgspecError) as error:
            self._log.warning("THERMAL_MEMORY_LOST", f"{what} begins anew: {error}")
            return None

    def start(self) -> None:
        self._history.start()

    def on_cycle(self, site: Site, now_s: float) -> None:
        """After every cycle that succeeded. Never raises: a fault of ours in what is written down stops no control."""
        try:
            self._write_down(site, now_s)
            problem = ""
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
        if problem != self._problem:
            self._problem = problem
            if problem:
                self._log.error("CHRONICLE_FAILED", f"history and thermal memory miss what happens now: {problem}")

    def _write_down(self, site: Site, now_s: float) -> None:
        image, decision = site.image, site.decision
        if image is None or decision is None:
            return
        clock = site.thermal_clock
        thermal_s, unix_s = clock.thermal_s(now_s), clock.unix_s(now_s)
        self._recorder.add(image.transformer, image.guard, site.powers(), decision.grants, site.bays, unix_s, now_s)
        if now_s - self._harmonics_at_s >= HARMONICS_EVERY_S:
            self._harmonics_at_s = now_s
            site.model.set_harmonics(load_f_hl(read_report(self._quality_report, now_s), self._rated_a))
        if thermal_s - self._kept_at_s >= KEEP_EVERY_S:
            self._kept_at_s = thermal_s
            self.keep(site, now_s)
        if self._learned_at_s is None:
            self._learned_at_s = thermal_s
        elif thermal_s - self._learned_at_s >= LEARNED_EVERY_S:
            self._learned_at_s = thermal_s
            self._keep_learned(site)

    def keep(self, site: Site, now_s: float) -> None:
        """Store the engine's memory now: by the minute, and when an engineer changed the regime."""
        memory = site.model.memory(site.thermal_clock.moment(now_s))
        self._history.keep(MEMORY_NAME, msgspec.json.encode(memory))

    def health(self) -> HistoryHealth:
        return self._history.health

    @property
    def queued_rows(self) -> int:
        """Rows that wait to be written."""
        return self._history.queued_rows

    def _keep_learned(self, site: Site) -> None:
        self._history.keep(LEARNED_NAME, msgspec.json.encode(site.model.learned()))

    def close(self, site: Site, now_s: float) -> None:
        """Write what waits; at most two seconds."""
        self._recorder.close()
        self.keep(site, now_s)
        self._keep_learned(site)
        self._history.close()

    def _on_problem(self, text: str) -> None:
        if text:
            self._log.error(NOT_KEPT, text)
        else:
            self._log.info(KEPT_AGAIN, f"the history {self._path} is written again")
