"""Composition root of ``v2g-guard tick``: configuration, ports, real time, and the loop until a signal."""

from __future__ import annotations

import contextlib
import random
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from v2g.clock import Clock, SystemClock
from v2g.config.crosscheck import slow_samples
from v2g.config.loader import ConfigError, Loaded, load
from v2g.config.paths import RunPaths, run_paths
from v2g.grid.settings import SettingsError
from v2g.guard import realtime
from v2g.guard.background import Background
from v2g.guard.latch import LatchStore, TripLatch
from v2g.guard.lockout import Lockout
from v2g.guard.permit_service import PermitService
from v2g.guard.signals import stop_requested
from v2g.guard.status_block import StatusBlockError, StatusWriter
from v2g.guard.tick import Ports, Tick, run
from v2g.guard.tick_commands import CommandError, CommandSocket
from v2g.guard.tick_settings import tick_settings
from v2g.hardware.breaker import MmapBreakerOutput
from v2g.hardware.contact import ContactReader
from v2g.hardware.ports import DeviceError
from v2g.hardware.waveform import WaveformReader
from v2g.host.boot import boot_id
from v2g.host.memory import give_back
from v2g.host.notify import Notifier
from v2g.host.users import commanders
from v2g.telemetry import logs

EXIT_FAILURE = 1
EXIT_CONFIG = 2
LATCH_FILE = "trip-latch.json"
PERMIT_SERVICE_FILE = "permit-service.json"
LOCKOUT_FILE = "lockout.json"

_BACKGROUND_STACK_BYTES = 512 * 1024


class PowerQualityEvents:
    """Events of the tick to power_quality.log, written by the background thread."""

    def __init__(self, background: Background) -> None:
        self._background = background
        log = logs.power_quality_log()
        self._levels: dict[str, Callable[..., None]] = {"info": log.info, "warning": log.warning, "error": log.error}

    def event(self, level: str, code: str, message: str, **fields: object) -> None:
        self._background.post(partial(self._levels[level], code, message, **fields))

    def later(self, job: Callable[[], None]) -> None:
        self._background.post(job)


def run_process(config_dir: Path) -> int:
    """See :func:`v2g.guard.tick_main.main`."""
    try:
        loaded = load(config_dir)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return EXIT_CONFIG
    paths = run_paths(loaded.config)
    logs.configure(paths.log_dir, name="v2g-guard-tick")
    try:
        _run(loaded, paths)
    except SettingsError as error:
        logs.daemon_log().error("GUARD_SETTINGS", str(error))
        return EXIT_CONFIG
    except (StatusBlockError, CommandError, DeviceError) as error:
        logs.daemon_log().error("GUARD_TICK_FAILED", str(error))
        return EXIT_FAILURE
    return 0


def _run(loaded: Loaded, paths: RunPaths) -> None:
    settings = tick_settings(loaded)
    clock = SystemClock()
    log = logs.daemon_log()
    stop = stop_requested()
    # Before there is another thread, which would not come along.
    for warning in realtime.pin(loaded.config.realtime.tick_cpus):
        log.warning("GUARD_NOT_REALTIME", warning)
    with ExitStack() as stack:
        # First: its lock keeps a second tick away from the command socket and the breaker.
        status = StatusWriter(paths.guard_status)
        stack.callback(status.close)
        commands = CommandSocket(paths.tick_sock, commanders(loaded.config.control.daemon_user))
        stack.callback(commands.close)
        breaker = MmapBreakerOutput(paths.breaker)
        stack.callback(breaker.close)
        breaker.hold(False, clock.monotonic_s())
        background = _background(log)
        stack.callback(background.close)
        events = PowerQualityEvents(background)
        notifier = Notifier()
        stack.callback(notifier.close)
        ports = Ports(
            open_waveform=lambda: WaveformReader(paths.waveform),
            breaker=breaker,
            status=status,
            commands=commands,
            events=events,
            open_contact=ContactReader,
            load_settings=lambda: tick_settings(load(loaded.config_dir)),
            unix_s=clock.unix_s,
            draw=random.SystemRandom().random,
            monotonic_s=clock.monotonic_s,
            suspended_s=clock.suspended_s,
        )
        latch = _latch(paths, clock, events)
        tick = Tick(settings, ports, latch, _permit_service(paths, events), _lockout(paths, clock, events))
        slow = slow_samples(loaded.config)
        if slow:
            log.warning("CLEARING_TIMES_NOT_KEPT", slow)
        give_back()
        granted = realtime.enter()
        for warning in granted.warnings:
            log.warning("GUARD_NOT_REALTIME", warning)
        tick.realtime = granted.granted
        realtime.quiet_collector()
        watchdog = realtime.Watchdog()
        try:
            run(tick, clock, notifier, stop, watchdog.feed)
        finally:
            # The breaker is commanded open; what is left may take its time.
            watchdog.stop()
            notifier.stopping()
            log.info(
                "GUARD_TICK_ENDED",
                "the breaker is commanded open",
                ticks=tick.lateness.ticks,
                late=tick.lateness.late_ticks,
                p50_ms=round(tick.lateness.percentile_s(50) * 1e3, 3),
                p99_ms=round(tick.lateness.percentile_s(99) * 1e3, 3),
                p999_ms=round(tick.lateness.percentile_s(99.9) * 1e3, 3),
                worst_ms=round(tick.lateness.worst_s * 1e3, 3),
            )


def _permit_service(paths: RunPaths, events: PowerQualityEvents) -> PermitService:
    service = PermitService(paths.state_dir / PERMIT_SERVICE_FILE)
    if not service.enabled:
        events.event(
            "warning", "PERMIT_SERVICE_WITHDRAWN", service.problem or "permit service is withdrawn since an earlier run"
        )
    return service


def _lockout(paths: RunPaths, clock: Clock, events: PowerQualityEvents) -> Lockout:
    lockout = Lockout(paths.state_dir / LOCKOUT_FILE, clock.unix_s())
    if lockout.locked:
        events.event(
            "warning", "LOCKOUT_ON", lockout.problem or f"the breaker is locked out since before by {lockout.names}"
        )
    return lockout


def _background(log: logs.EventLog) -> Background:
    def prepare() -> None:
        # Just below the tick: ordinary work could preempt the thread while it holds the interpreter lock.
        realtime.schedule_fifo(realtime.TICK_PRIORITY - 1, [])

    def tell(error: Exception) -> None:
        log.error("GUARD_BACKGROUND", f"{type(error).__name__}: {error}")

    threading.stack_size(_BACKGROUND_STACK_BYTES)
    return Background("tick-background", tell, prepare, logs.poll)


def _latch(paths: RunPaths, clock: Clock, events: PowerQualityEvents) -> TripLatch:
    # An unwritable place is told when a trip cannot be kept, with its reason.
    with contextlib.suppress(OSError):
        paths.state_dir.mkdir(mode=0o750, parents=True, exist_ok=True)
    latch = TripLatch(LatchStore(paths.state_dir / LATCH_FILE, boot_id()), clock.monotonic_s(), clock.unix_s())
    trip = latch.trip
    if trip is not None:
        events.event(
            "warning",
            "TRIP_LATCHED",
            "still tripped from before; release it with v2g-control trip reset",
            element=trip.element,
            value=round(trip.value, 4),
        )
    return latch
