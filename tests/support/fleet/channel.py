"""One JSON line for each question, one for each answer, between a run and its processes."""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path
from typing import Any


def tell(**fields: Any) -> None:
    """Answer whoever started this process."""
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


class Questions:
    """Lines on standard input, read without waiting."""

    def __init__(self) -> None:
        self.fd = sys.stdin.fileno()
        os.set_blocking(self.fd, False)
        self._buffer = b""
        self.closed = False

    def read(self) -> list[dict[str, Any]]:
        try:
            data = os.read(self.fd, 65_536)
        except BlockingIOError:
            return []
        self.closed = not data
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        return [json.loads(line) for line in lines]


def usage() -> dict[str, float]:
    """Processor time in s of all threads, and resident memory in kB, of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "cpu_s": used.ru_utime + used.ru_stime,
        "user_s": used.ru_utime,
        "rss_kb": pages * resource.getpagesize() / 1024,
    }
