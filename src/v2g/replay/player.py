"""Plays a case in real time to a running ``v2g-guard tick``: waveforms into the buffer, and a breaker that obeys.

Run ``python -m v2g.replay.player CASES ID --waveform PATH --breaker PATH``. It waits with a healthy grid until the
guard has closed the breaker (enter-service and synchronisation cases: with a dead bus, until the guard runs), plays the
case, and prints one JSON line with the times of the contact, counted from the case's reference segment.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from v2g.clock import SleepingClock, SystemClock
from v2g.grid.trip import BATCH_S
from v2g.grid.verdict import CLOSING_TIME_S
from v2g.guard import realtime
from v2g.hardware.breaker import MmapBreakerDevice
from v2g.hardware.contact import ContactWriter
from v2g.hardware.ports import DeviceError
from v2g.hardware.waveform import CHANNELS, WaveformError, WaveformWriter
from v2g.replay.breaker import Breaker
from v2g.replay.case_file import read_cases
from v2g.replay.case_settings import is_entry
from v2g.replay.feed import Feed
from v2g.replay.stimulus import Case, ReplayError, Segment
from v2g.replay.synthesis import CaseStimulus

SAMPLE_RATE_HZ = 3840
SCALES = {name: 0.01 if name.startswith("v_") else 0.001 for name in CHANNELS}
"""V and A per count."""
LONGEST_WAIT_S = 120.0
_SETTLED_S = 0.5
_STEP_S = 0.001
_MAINS_EVERY_S = 0.02
_WHOLE_CYCLES_S = 0.1
"""A whole number of cycles of 50 and of 60 Hz: the case begins at the phase where the waiting ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """The first of each, in s from the start of the reference segment; None: it did not happen in the case."""

    id: str
    commanded_open_s: float | None
    opened_s: float | None
    commanded_closed_s: float | None
    closed_s: float | None
    worst_lateness_s: float
    """Of a batch of samples behind its time: what this host adds to the guard's times."""


@dataclass(slots=True)
class Plant:
    """What the guard is connected to."""

    writer: WaveformWriter
    device: MmapBreakerDevice
    breaker: Breaker
    mains: ContactWriter | None = None


class _Player:
    def __init__(self, plant: Plant, clock: SleepingClock, sample_rate_hz: int) -> None:
        self._plant = plant
        self._clock = clock
        self._rate_hz = sample_rate_hz
        self.batch = 0
        """Batches since the start; one ends ``batch * BATCH_S`` after it."""
        self._close = False
        self._start_s = clock.monotonic_s()
        self._mains_at_s = float("-inf")
        self.worst_lateness_s = 0.0
        self.commanded: list[tuple[bool, float]] = []
        """Changes of the guard's command, as the breaker's coil saw them."""
        self.moved: list[tuple[bool, float]] = []
        """Changes of the contact."""

    @property
    def now_s(self) -> float:
        """When the newest samples were taken."""
        return self._start_s + self.batch * BATCH_S

    def write(self, feed: Feed, first_batch: int) -> bool:
        """One batch of a feed that began with ``first_batch``, at its time; False when the feed has ended."""
        self.batch += 1
        until_s = self.now_s
        self._obey_until(until_s)
        rows = feed.take(round((self.batch - first_batch) * BATCH_S * self._rate_hz), self._plant.breaker.closed)
        if rows is None:
            return False
        self._plant.writer.write(rows, until_s)
        self.worst_lateness_s = max(self.worst_lateness_s, self._clock.monotonic_s() - until_s)
        if self._plant.mains is not None and until_s - self._mains_at_s >= _MAINS_EVERY_S:
            self._plant.mains.report(feed.mains_present, until_s)
            self._mains_at_s = until_s
        return True

    def _obey_until(self, until_s: float) -> None:
        plant = self._plant
        breaker = plant.breaker
        now_s = self._clock.monotonic_s()
        while True:
            close = plant.device.commanded(now_s)
            if close is not self._close:
                self._close = close
                self.commanded.append((close, now_s))
            was_closed = breaker.closed
            breaker.hold(close, now_s)
            if breaker.closed is not was_closed:
                self.moved.append((breaker.closed, breaker.closed_at_s if breaker.closed else breaker.opened_at_s))
            plant.device.report(breaker.closed, now_s)
            if now_s >= until_s:
                return
            self._clock.sleep_until(min(now_s + _STEP_S, until_s))
            now_s = self._clock.monotonic_s()

    def begin(self) -> None:
        """What is told starts now."""
        self.worst_lateness_s = 0.0
        self.commanded.clear()
        self.moved.clear()


def play(
    case: Case, plant: Plant, clock: SleepingClock, *, dead_s: float = 3.0, longest_wait_s: float = LONGEST_WAIT_S
) -> Played:
    """Wait for service and play. ``dead_s``: how long an entry case waits with a dead bus.

    Raises :class:`~v2g.replay.stimulus.ReplayError` when the guard does not close the breaker on a healthy grid.
    """
    rate_hz = plant.writer.sample_rate_hz
    player = _Player(plant, clock, rate_hz)
    _wait(case, plant, player, dead_s if is_entry(case) else longest_wait_s)
    player.begin()
    first_batch, origin_s = player.batch, player.now_s + case.reference_s
    feed = Feed(CaseStimulus.of(case, rate_hz), 0)
    while player.write(feed, first_batch):
        pass

    def first(changes: list[tuple[bool, float]], to: bool) -> float | None:
        return next((round(at_s - origin_s, 4) for what, at_s in changes if what is to), None)

    return Played(
        id=case.id,
        commanded_open_s=first(player.commanded, False),
        opened_s=first(player.moved, False),
        commanded_closed_s=first(player.commanded, True),
        closed_s=first(player.moved, True),
        worst_lateness_s=round(player.worst_lateness_s, 4),
    )


def _wait(case: Case, plant: Plant, player: _Player, waits_s: float) -> None:
    entry = is_entry(case)
    volts = 0.0 if entry else 1.0
    waiting = Segment(d=waits_s + 1.0, v=(volts, volts, volts), f=case.nominal_hz)
    feed = Feed(CaseStimulus((waiting,), case.nominal_hz, float(plant.writer.sample_rate_hz)), 0)
    began_s = player.now_s
    whole = round(_WHOLE_CYCLES_S / BATCH_S)
    while player.write(feed, 0):
        if player.batch % whole:
            continue
        now_s = player.now_s
        if entry:
            if now_s - began_s >= waits_s:
                return
        elif plant.breaker.closed and now_s - plant.breaker.closed_at_s >= _SETTLED_S:
            return
        elif now_s - began_s > waits_s:
            break
    raise ReplayError(
        f"case {case.id}: the guard has not closed the breaker within {waits_s:g} s of a healthy grid; is it running "
        "on this waveform and breaker file, with a short enter-service delay and no trip latched?"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 played, 1 not."""
    parser = argparse.ArgumentParser(prog="python -m v2g.replay.player", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("cases", type=Path, help="the case file")
    parser.add_argument("id", help="the case")
    parser.add_argument("--waveform", type=Path, required=True, help="waveform buffer to write")
    parser.add_argument("--breaker", type=Path, required=True, help="breaker file to obey")
    parser.add_argument("--mains", type=Path, help="loss-of-mains input to work")
    parser.add_argument("--opening-time", type=float, default=0.05, help="of the breaker, s")
    said = parser.parse_args(argv)
    try:
        case = next((case for case in read_cases(said.cases) if case.id == said.id), None)
        if case is None:
            raise ReplayError(f"{said.cases}: no case {said.id}; see its column id")
        plant = Plant(
            writer=WaveformWriter.create(said.waveform, SAMPLE_RATE_HZ, SCALES),
            device=MmapBreakerDevice(said.breaker),
            breaker=Breaker(said.opening_time, CLOSING_TIME_S),
            mains=None if said.mains is None else ContactWriter(said.mains),
        )
        # It stands for hardware that keeps its time whatever the host does; just below the guard that it feeds.
        realtime.schedule_fifo(realtime.TICK_PRIORITY - 2, [])
        realtime.quiet_collector()
        played = play(case, plant, SystemClock())
    except (ReplayError, WaveformError, DeviceError) as error:
        print(f"v2g.replay.player: {error}", file=sys.stderr)
        return 1
    print(json.dumps({name: getattr(played, name) for name in Played.__slots__}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
