"""A contact's position in a memory-mapped file: the hardware relay's feedback, the upstream switch (loss of mains).

The driver of the input writes the position at least every 100 ms; older than 500 ms it is unknown. The layout is that of
the breaker's report record (:mod:`v2g.hardware.breaker`) in a file of its own: magic ``V2GCNTC\\0``, version 1, size, and
one :class:`~v2g.hardware.shared_record.SharedRecord` at 64: position (1 closed), CLOCK_MONOTONIC in ns.
"""

from __future__ import annotations

from pathlib import Path


class ContactReader:
    """The guard's side. A file that is missing, foreign or torn is an unknown position, never an error."""

    def __init__(self, path: Path) -> None:
        raise NotImplementedError

    def is_closed(self, now_s: float) -> bool | None:
        """None: unknown, or older than 500 ms."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


class ContactWriter:
    """The driver's side; creates the file. Raises :class:`~v2g.hardware.ports.DeviceError` naming path and remedy."""

    def __init__(self, path: Path) -> None:
        raise NotImplementedError

    def report(self, closed: bool, now_s: float) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError
