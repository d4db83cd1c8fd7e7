"""A grid and a breaker in real time for benches: commands on stdin, what happened on stdout, JSON lines.

    python -m support.trip_source DIRECTORY

Samples at 3840 Hz in batches of 5 ms into ``DIRECTORY/waveform``, a breaker of 50 ms at ``DIRECTORY/breaker``. Asked
``{"f": 62.5, "phase": 3}`` or ``{"v": 0.4}`` it steps at once, waits for the contact and goes back to nominal; it
answers with the seconds from the first sample that differs to the withdrawn command (right to 1 ms) and to the parted
contact.
``phase``, ms: where batches lie from now on, so that steps meet the guard's tick everywhere.
"""

from __future__ import annotations

import contextlib
import gc
import json
import math
import os
import select
import sys
import time
from pathlib import Path

import numpy as np

from v2g.hardware.breaker import MmapBreakerDevice
from v2g.hardware.contact import ContactWriter
from v2g.hardware.waveform import CHANNELS, WaveformWriter

RATE_HZ = 3840
BATCH_S = 0.005
OPENING_S = 0.05
CLOSING_S = 0.06
GIVE_UP_S = 5.0
PRIORITY = 50
_PHASES = np.array([0.0, -2.0, 2.0]) * math.pi / 3


class Source:
    def __init__(self, folder: Path) -> None:
        self.writer = WaveformWriter.create(folder / "waveform", RATE_HZ, dict.fromkeys(CHANNELS, 0.01))
        self.breaker = MmapBreakerDevice(folder / "breaker")
        self.relay = ContactWriter(folder / "relay")
        self.noise = np.random.default_rng(1).normal(0.0, 0.1, (4096, len(CHANNELS)))
        self.begin_s = time.monotonic()
        self.made = 0
        self.angle = 0.0
        self.f_hz, self.v_pu = 60.0, 1.0
        self.closed = False
        self.moves_at_s: float | None = None
        self.commanded = False
        self.command_at_s = 0.0
        self.changed_at_s = 0.0

    @property
    def sample_s(self) -> float:
        return self.begin_s + self.made / RATE_HZ

    def batch(self) -> None:
        n = int((time.monotonic() - self.begin_s) * RATE_HZ) - self.made
        if n <= 0:
            return
        if n > 1000:
            self.begin_s, self.made, n = time.monotonic() - BATCH_S, 0, 19
        turn = 2 * math.pi * self.f_hz / RATE_HZ
        angles = self.angle + turn * np.arange(1, n + 1)[:, None] + _PHASES
        self.angle = (self.angle + turn * n) % (2 * math.pi)
        wave = np.sin(angles) * math.sqrt(2)
        rows = self.noise[:n].copy()
        rows[:, 0:3] += 277.0 * self.v_pu * wave
        rows[:, 3:6] += 100.0 * wave
        if self.closed:
            rows[:, 6:9] -= 30.0 * wave
            rows[:, 9:12] += 277.0 * self.v_pu * wave
        self.made += n
        self.writer.write(rows, self.sample_s)

    def work(self) -> None:
        now_s = time.monotonic()
        commanded = self.breaker.commanded(now_s)
        if commanded != self.commanded:
            self.commanded, self.command_at_s = commanded, now_s
            self.moves_at_s = now_s + (CLOSING_S if commanded else OPENING_S)
        if self.moves_at_s is not None and now_s >= self.moves_at_s:
            self.closed, self.changed_at_s, self.moves_at_s = self.commanded, self.moves_at_s, None
        self.breaker.report(self.closed, now_s)
        self.relay.report(True, now_s)

    def serve(self) -> None:
        due_s = time.monotonic()
        turns = phase = 0
        stepped_s: float | None = None
        while True:
            due_s += 0.001
            time.sleep(max(0.0, due_s - time.monotonic()))
            turns += 1
            if turns % 5 == phase:
                self.batch()
            self.work()
            if stepped_s is not None:
                if not self.closed and self.changed_at_s > stepped_s:
                    self._say(command_s=self.command_at_s - stepped_s, contact_s=self.changed_at_s - stepped_s)
                    stepped_s, self.f_hz, self.v_pu = None, 60.0, 1.0
                elif time.monotonic() - stepped_s > GIVE_UP_S:
                    self._say(command_s=None, contact_s=None)
                    stepped_s, self.f_hz, self.v_pu = None, 60.0, 1.0
            elif select.select([sys.stdin], [], [], 0.0)[0]:
                line = sys.stdin.readline()
                if not line:
                    return
                wanted = json.loads(line)
                phase = wanted.get("phase", phase) % 5
                stepped_s = self.sample_s
                self.f_hz, self.v_pu = wanted.get("f", 60.0), wanted.get("v", 1.0)

    @staticmethod
    def _say(**answer: float | None) -> None:
        print(json.dumps(answer), flush=True)


def main() -> None:
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    source = Source(Path(sys.argv[1]))
    gc.collect()
    gc.freeze()
    gc.disable()
    print(json.dumps({"ready": True}), flush=True)
    source.serve()


if __name__ == "__main__":
    main()
