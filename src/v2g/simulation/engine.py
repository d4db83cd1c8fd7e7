"""The plant's heart: a thread that moves the site in real time, records samples and works the contacts.

Modbus handlers and the plant socket live in an event loop beside it; every access to the site holds ``lock``, which
the thread keeps for a fraction of a millisecond at a time. A wake-up that comes late catches up on all samples missed.
"""

from __future__ import annotations

import enum
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from v2g.clock import Clock
from v2g.hardware.breaker import MmapBreakerDevice
from v2g.hardware.contact import ContactWriter
from v2g.hardware.waveform import WaveformWriter
from v2g.simulation.site import Site
from v2g.simulation.waveforms import SAMPLE_RATE_HZ, Recorder

PERIOD_S = 0.005
_MAX_STEP_SAMPLES = 20
_GIVE_UP_S = 0.5
"""A stop longer than this (a suspended machine) leaves a gap in the samples instead of a burst."""


class WaveformFault(enum.StrEnum):
    """What can be wrong with the sampling process. Each ends when it is taken out of :attr:`Engine.waveform_faults`."""

    STOPPED = "waveform"
    """It lives and writes no more: lock held, heartbeat stands."""
    WRITER_GONE = "waveform_writer"
    """It ended: lock released, the file stays. One that is started again makes a new buffer."""
    FROZEN = "waveform_frozen"
    """Its converter is stuck: the last samples again and again, with a live heartbeat and a growing sequence."""


@dataclass(slots=True)
class InterlockContact:
    """An emergency stop or a door: closed while all is well; not ``told``: its input has died."""

    writer: ContactWriter
    closed: bool = True
    told: bool = True


class Engine:
    """Owns the site's clockwork. ``start`` makes the thread, ``close`` ends it.

    ``open_writer`` makes a new waveform buffer (raises WaveformError). ``relay`` and ``mains`` tell the positions of
    the hardware relay and of the upstream switch; ``interlocks`` by the names that faults use.
    """

    def __init__(
        self,
        site: Site,
        recorder: Recorder,
        open_writer: Callable[[], WaveformWriter],
        breaker: MmapBreakerDevice,
        relay: ContactWriter,
        mains: ContactWriter,
        interlocks: Mapping[str, InterlockContact],
        clock: Clock,
    ) -> None:
        self.site = site
        self.recorder = recorder
        self.lock = threading.RLock()
        self.waveform_faults: set[WaveformFault] = set()
        self.worst_lateness_s = 0.0
        self.late_batches = 0
        self.batches = 0
        self.failure: BaseException | None = None
        self._open_writer = open_writer
        self._writer: WaveformWriter | None = open_writer()
        self._frozen: NDArray[np.float64] | None = None
        self.mains_told = True
        """The loss-of-mains input follows the upstream switch; without, it goes on saying closed."""
        self._breaker = breaker
        self._relay = relay
        self._mains = mains
        self.interlocks = interlocks
        self._clock = clock
        self._begin_s = clock.monotonic_s()
        self._produced = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="plant", daemon=True)

    def start(self) -> None:
        self._begin_s = self._clock.monotonic_s()
        self._produced = 0
        self._thread.start()

    def close(self) -> None:
        """End the thread; the buffer's readers see it age."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join(1.0)

    @property
    def sample_time_s(self) -> float:
        """When the newest sample was taken: what changes now shows in the next one."""
        return self._begin_s + self._produced / SAMPLE_RATE_HZ

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def advance(self) -> None:
        """Move the site to the present: everything that the thread does at one wake-up."""
        now_s = self._clock.monotonic_s()
        behind_s = now_s - (self._begin_s + self._produced / SAMPLE_RATE_HZ)
        self.batches += 1
        if self.batches > 1:
            self.worst_lateness_s = max(self.worst_lateness_s, behind_s - PERIOD_S)
            self.late_batches += behind_s > 3 * PERIOD_S
        if behind_s > _GIVE_UP_S:
            self._begin_s, self._produced = now_s - PERIOD_S, 0
        due = int((now_s - self._begin_s) * SAMPLE_RATE_HZ) - self._produced
        while due > 0:
            n = min(due, _MAX_STEP_SAMPLES)
            due -= n
            self._step(n)

    def _step(self, n: int) -> None:
        start_s = self._begin_s + self._produced / SAMPLE_RATE_HZ
        self._produced += n
        end_s = self._begin_s + self._produced / SAMPLE_RATE_HZ
        with self.lock:
            site = self.site
            site.breaker_commanded = self._breaker.commanded(self._clock.monotonic_s())
            site.step(end_s, n / SAMPLE_RATE_HZ)
            samples = self.recorder.record(n, start_s, end_s)
            closed, relay_closed = site.breaker.closed, site.relay.closed
            relay_told = not site.relay.feedback_lost
            mains_closed = site.grid.mains_closed or not self.mains_told
            told = [(each.writer, each.closed) for each in self.interlocks.values() if each.told]
        self._write(samples, end_s)
        self._breaker.report(closed, end_s)
        self._mains.report(mains_closed, end_s)
        for writer, interlock_closed in told:
            writer.report(interlock_closed, end_s)
        if relay_told:
            self._relay.report(relay_closed, end_s)

    def _write(self, samples: NDArray[np.float64], end_s: float) -> None:
        wrong = self.waveform_faults
        if WaveformFault.WRITER_GONE in wrong:
            if self._writer is not None:
                self._writer.close()
                self._writer = None
            return
        if self._writer is None:
            self._writer = self._open_writer()
        if WaveformFault.FROZEN not in wrong:
            self._frozen = None
        elif self._frozen is None:
            self._frozen = samples[-1:]
        if WaveformFault.STOPPED not in wrong:
            shown = samples if self._frozen is None else np.repeat(self._frozen, len(samples), axis=0)
            self._writer.write(shown, end_s)

    def _run(self) -> None:
        try:
            while not self._end.is_set():
                self.advance()
                self._end.wait(PERIOD_S)
        except BaseException as error:
            self.failure = error
            raise
