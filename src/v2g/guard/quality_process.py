"""``v2g-guard quality``: reads the waveform buffer without gaps and keeps power_quality.log; its root and its loop."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

from v2g.clock import SleepingClock, SystemClock
from v2g.config.loader import ConfigError, load
from v2g.config.paths import run_paths
from v2g.config.protection import feeder_rated_a
from v2g.config.schema import Config
from v2g.grid.estimate import EstimationError
from v2g.guard.quality import Quality, QualitySettings
from v2g.guard.quality_factors import FactorsInForce
from v2g.guard.quality_report import REPORT_FILE, QualityReport
from v2g.guard.quality_watch import QualityEvent
from v2g.guard.signals import stop_requested
from v2g.guard.status_block import StatusReader
from v2g.hardware.sample_clock import SampleClock
from v2g.hardware.sensor_map import Factors
from v2g.hardware.waveform import WaveformError, WaveformReader, WaveformWindow
from v2g.host.files import replace_file
from v2g.host.memory import give_back
from v2g.host.notify import Notifier
from v2g.telemetry import logs

EXIT_CONFIG = 2
POLL_S = 0.15
REPORT_EVERY_S = 1.0
STALE_S = 1.0
"""A buffer whose newest samples are older is not measured; the tick has told of it long before."""
DOUBT_S = 1.0
"""Samples that cannot be believed for so long are told; a single gap is counted in the summary."""
NICE = 5

_QUARTER = 4
"""A poll takes at most this part of the buffer, so that one that is late still finds the rest."""
_AGAIN_S = 0.02
"""Samples that are read once more, because the writer goes on between two looks."""


class Buffer(Protocol):
    """What of :class:`~v2g.hardware.waveform.WaveformReader` is needed."""

    sample_rate_hz: int
    capacity: int

    def latest(self, n: int) -> WaveformWindow: ...

    def correct(self, factors: Factors) -> None: ...


class QualityLoop:
    """One step every :attr:`poll_s`. ``tell`` writes an event, ``publish`` the report; neither raises."""

    def __init__(
        self,
        settings: QualitySettings,
        summary_every_s: float,
        open_buffer: Callable[[], Buffer],
        tell: Callable[[QualityEvent], None],
        publish: Callable[[QualityReport], None],
    ) -> None:
        self._settings = settings
        self._summary_every_s = summary_every_s
        self._open = open_buffer
        self._tell = tell
        self._publish = publish
        self._buffer: Buffer | None = None
        self._clock = SampleClock()
        self._quality: Quality | None = None
        self._last: tuple[int, int] | None = None
        """Generation and index of the newest sample that was fed; None: begin with what comes."""
        self._trouble: str | None = None
        self._trouble_since_s = 0.0
        self._doubted_at_s: float | None = None
        self._summary_at_s: float | None = None
        self._report_at_s = 0.0

    @property
    def poll_s(self) -> float:
        if self._buffer is None:
            return POLL_S
        return min(POLL_S, self._buffer.capacity / self._buffer.sample_rate_hz / _QUARTER)

    @property
    def status(self) -> str:
        """For ``systemctl status``."""
        return "measuring" if self._trouble is None else f"not measuring: {self._trouble}"

    def step(self, now_s: float) -> None:
        try:
            self._read(now_s)
        except (WaveformError, EstimationError) as error:
            self._not_measured(str(error), now_s)
        if self._summary_at_s is None:
            self._summary_at_s = now_s + self._summary_every_s
        elif now_s >= self._summary_at_s:
            # A host that slept does not catch up on its summaries.
            self._summary_at_s = max(self._summary_at_s, now_s - self._summary_every_s) + self._summary_every_s
            self._summarise(now_s)
        if now_s - self._report_at_s >= REPORT_EVERY_S:
            self._report_at_s = now_s
            trouble = self._trouble or ""
            self._publish(
                self._quality.report(trouble)
                if self._quality is not None
                else QualityReport(as_of_s=0.0, not_measured=trouble)
            )

    def correct(self, factors: Factors) -> None:
        """Correct the samples by these from the next step on. Raises WaveformError."""
        if self._buffer is not None:
            self._buffer.correct(factors)
            self._last = None

    def close(self, now_s: float) -> None:
        """The last summary."""
        self._summarise(now_s)

    def _read(self, now_s: float) -> None:
        if self._buffer is None:
            self._buffer = self._open()
        buffer = self._buffer
        newest = buffer.latest(1)
        if now_s - newest.as_of_s > STALE_S:
            self._not_measured(
                f"the newest samples are {now_s - newest.as_of_s:.1f} s old; is the sampling process alive?", now_s
            )
            return
        doubt = self._clock.judge(newest, buffer.sample_rate_hz, now_s)
        if doubt:
            self._last = None
            if self._doubted_at_s is None:
                self._doubted_at_s = now_s
            if now_s - self._doubted_at_s >= DOUBT_S:
                self._not_measured(doubt, now_s)
            return
        self._doubted_at_s = None
        rate_hz = buffer.sample_rate_hz
        generation = newest.generation
        if self._last is None or self._last[0] != generation:
            self._begin(rate_hz, now_s)
            self._last = generation, newest.last_index
            return
        wanted = newest.last_index - self._last[1] + round(_AGAIN_S * rate_hz)
        window = buffer.latest(min(wanted, buffer.capacity // 2, newest.last_index))
        if window.generation != generation or window.last_index <= self._last[1]:
            return
        rows = window.samples[-(window.last_index - self._last[1]) :]
        if self._quality is None or window.last_index - len(rows) != self._last[1]:
            self._begin(rate_hz, now_s)
        self._last = generation, window.last_index
        self._measured(now_s)
        if self._quality is not None:
            for event in self._quality.feed(window.last_index, window.as_of_s, rows[:, 0:9]):
                self._tell(event)

    def _begin(self, sample_rate_hz: int, now_s: float) -> None:
        if self._quality is None:
            self._quality = Quality(self._settings, sample_rate_hz, now_s)
        else:
            self._quality.interrupted(sample_rate_hz)

    def _not_measured(self, why: str, now_s: float) -> None:
        self._last = None
        if self._trouble is None:
            self._trouble_since_s = now_s
            self._tell(QualityEvent("warning", "PQ_NOT_MEASURED", why))
        self._trouble = why

    def _measured(self, now_s: float) -> None:
        if self._trouble is None:
            return
        self._trouble = None
        missed_s = round(now_s - self._trouble_since_s, 1)
        self._tell(QualityEvent("info", "PQ_MEASURED", "power quality is measured again", {"missed_s": missed_s}))

    def _summarise(self, now_s: float) -> None:
        if self._quality is not None:
            self._tell(self._quality.summary(now_s))


def quality_settings(config: Config) -> QualitySettings:
    limits = config.power_quality
    return QualitySettings(
        nominal_voltage_v=config.grid.nominal_voltage_v,
        nominal_frequency_hz=config.grid.nominal_frequency_hz,
        rated_feeder_a=feeder_rated_a(config),
        thd_v_limit_pct=limits.thd_v_limit_pct,
        trd_limit_pct=limits.trd_limit_pct,
        rapid_change_limit_pct=limits.rapid_change_limit_pct,
        pst_limit=limits.pst_limit,
        plt_limit=limits.plt_limit,
        voltage_window_pu=limits.voltage_window_pu,
    )


def run_process(config_dir: Path) -> int:
    """See :func:`v2g.guard.quality_main.main`."""
    try:
        loaded = load(config_dir)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return EXIT_CONFIG
    config = loaded.config
    paths = run_paths(config)
    logs.configure(paths.log_dir, name="v2g-guard-quality")
    stop = stop_requested()
    _step_back()
    notifier = Notifier()
    factors = FactorsInForce(loaded, lambda: load(config_dir), StatusReader(paths.guard_status))
    loop = QualityLoop(
        quality_settings(config),
        config.power_quality.summary_every_s,
        lambda: WaveformReader(paths.waveform, factors.factors),
        _tell,
        _Publisher(paths.run_dir / REPORT_FILE),
    )
    try:
        _loop(loop, factors, SystemClock(), notifier, stop)
    finally:
        notifier.stopping()
        notifier.close()
    logs.daemon_log().info("GUARD_QUALITY_ENDED", "power quality is no longer measured")
    return 0


def _loop(
    loop: QualityLoop, factors: FactorsInForce, clock: SleepingClock, notifier: Notifier, stopped: Callable[[], bool]
) -> None:
    ready = False
    told = ""
    while not stopped():
        factors.follow(clock.monotonic_s(), loop.correct)
        loop.step(clock.monotonic_s())
        logs.poll()
        notifier.watchdog()
        if not ready:
            notifier.ready(loop.status)
            ready = True
            give_back()
        elif loop.status != told:
            notifier.status(loop.status)
        told = loop.status
        clock.sleep_until(clock.monotonic_s() + loop.poll_s)
    loop.close(clock.monotonic_s())


def _step_back() -> None:
    """Behind everything that protects or commands; under systemd the unit has done it."""
    # The unit's system call filter may refuse it: then it is not needed.
    with contextlib.suppress(OSError):
        if os.getpriority(os.PRIO_PROCESS, 0) < NICE:
            os.setpriority(os.PRIO_PROCESS, 0, NICE)


def _tell(event: QualityEvent) -> None:
    log = logs.power_quality_log()
    (log.warning if event.level == "warning" else log.info)(event.code, event.message, **event.fields)


class _Publisher:
    """Replaces the report's file; a place that cannot be written is told once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._failed = False

    def __call__(self, report: QualityReport) -> None:
        try:
            replace_file(self._path, msgspec.json.encode(report))
            self._failed = False
        except OSError as error:
            if not self._failed:
                logs.daemon_log().warning("QUALITY_NOT_PUBLISHED", f"{self._path}: {error.strerror or error}")
            self._failed = True
