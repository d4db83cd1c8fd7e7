"""Looks at the waveform buffer without mapping it: header, lock of its writer, age of the newest samples."""

from __future__ import annotations

import os
from pathlib import Path

from v2g.clock import Clock
from v2g.hardware import file_lock
from v2g.hardware import waveform_layout as layout
from v2g.hardware.file_owner import require_trusted
from v2g.hardware.shared_record import RECORD_BYTES, newest_slot
from v2g.orchestrator.preflight.devices import WaveformFacts


def look(path: Path, clock: Clock) -> WaveformFacts:
    """Never raises: what is wrong is the problem in the answer."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        return WaveformFacts(str(path), error.strerror or str(error))
    try:
        require_trusted(path, os.fstat(fd))
        content = os.pread(fd, layout.RING_AT, 0).ljust(layout.RING_AT, b"\0")
        header = layout.unpack(content)
        layout.check(header, layout.CHANNELS)
        if not file_lock.is_locked(fd):
            return WaveformFacts(str(path), "its writer has ended")
        newest = newest_slot(os.pread(fd, RECORD_BYTES, layout.NEWEST_AT).ljust(RECORD_BYTES, b"\0"))
        now_s = clock.monotonic_s()
    except (OSError, ValueError) as error:
        return WaveformFacts(str(path), getattr(error, "strerror", None) or str(error))
    finally:
        os.close(fd)
    if newest is None:
        return WaveformFacts(str(path), "nothing was written yet")
    return WaveformFacts(str(path), "", header.sample_rate_hz, len(header.names), now_s - newest[2] / 1e9)
