"""The trip latch: once tripped, open until an operator resets it; neither a restart nor ``kill -9`` forgets it.

``<state_dir>/trip-latch.json`` exists while the latch is set. A file that cannot be read counts as a trip.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from v2g.host.files import replace_file, sync_file
from v2g.host.kept import Kept, decode_kept

UNREADABLE = "LATCH_FILE"
"""The element of a latch whose file could not be read."""

_MAX_FILE_BYTES = 64 * 1024


class LatchedTrip(Kept, frozen=True, kw_only=True):
    """A trip as it is kept. ``at_s`` is CLOCK_MONOTONIC of the boot named by ``boot_id``; ``unix_s`` is for people.

    ``value`` and ``threshold`` in ``unit``. What was measured when it tripped: ``v_pu`` of all phases,
    ``frequency_hz``, ``rocof_hz_s``, currents, angles of the inverter side as measured; ``profile``: the settings in
    force.
    """

    element: str
    quantity: str = ""
    phase: str = ""
    value: float = 0.0
    threshold: float = 0.0
    clearing_time_s: float = 0.0
    at_s: float = 0.0
    unix_s: float = 0.0
    boot_id: str = ""
    unit: str = ""
    remedy: str = ""
    profile: str = ""
    v_pu: tuple[float, float, float] | None = None
    frequency_hz: float | None = None
    rocof_hz_s: float | None = None
    feeder_a: tuple[float, float, float] | None = None
    transformer_a: tuple[float, float, float] | None = None
    inverter_angle_deg: tuple[float | None, float | None, float | None] = (None, None, None)


class ResetRefused(Exception):
    """The latch stays; the message says why and what to do."""


class LatchStore:
    """The file. Written whole and renamed into place, so that it is either the old one or the new one."""

    def __init__(self, path: Path, boot_id: str) -> None:
        self._path = path
        self._boot_id = boot_id

    @property
    def path(self) -> Path:
        return self._path

    @property
    def boot_id(self) -> str:
        return self._boot_id

    def load(self, now_s: float, unix_s: float) -> LatchedTrip | None:
        """The kept trip, or None where there is no file. A trip of an earlier boot gets a time on today's clock."""
        try:
            with self._path.open("rb") as file:
                trip = decode_kept(file.read(_MAX_FILE_BYTES), LatchedTrip)
            if not trip.element:
                raise ValueError("no element")
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            return LatchedTrip(element=UNREADABLE, at_s=now_s, unix_s=unix_s, boot_id=self._boot_id)
        if trip.boot_id != self._boot_id:
            age_s = max(0.0, unix_s - trip.unix_s)
            trip = msgspec.structs.replace(trip, at_s=now_s - age_s, boot_id=self._boot_id)
        return trip

    def save(self, trip: LatchedTrip) -> None:
        """In the page cache when this returns, which survives the process; :meth:`sync` makes it survive the power.

        Raises ``OSError``.
        """
        replace_file(self._path, msgspec.json.encode(trip) + b"\n")

    def clear(self) -> None:
        """Raises ``OSError``."""
        self._path.unlink(missing_ok=True)

    def sync(self) -> None:
        """Put file and directory on the disk. May take long; never call it from the tick. Raises ``OSError``."""
        sync_file(self._path)


class TripLatch:
    """Holds the one trip and keeps it in the store."""

    def __init__(self, store: LatchStore, now_s: float, unix_s: float) -> None:
        self._store = store
        self._trip = store.load(now_s, unix_s)

    @property
    def trip(self) -> LatchedTrip | None:
        return self._trip

    @property
    def store(self) -> LatchStore:
        return self._store

    def set(self, trip: LatchedTrip) -> None:
        """Latch in memory. The first cause stays."""
        if self._trip is None:
            self._trip = msgspec.structs.replace(trip, boot_id=self._store.boot_id)

    def keep(self) -> None:
        """Write the latched trip to the store. Raises ``OSError``; the latch in memory holds all the same."""
        if self._trip is not None:
            self._store.save(self._trip)

    def reset(self, refusal: str) -> LatchedTrip | None:
        """Release the latch; returns what it held, None when it held nothing. ``refusal``: which enter-service
        conditions do not hold, in words; empty when all do.

        Raises :class:`ResetRefused` with ``refusal``, and when the file cannot be removed, since the trip would come
        back with the next start.
        """
        trip = self._trip
        if trip is None:
            return None
        if refusal:
            raise ResetRefused(refusal)
        try:
            self._store.clear()
        except OSError as error:
            raise ResetRefused(f"{self._store.path} cannot be removed: {error.strerror}; make it writable") from error
        self._trip = None
        return trip
