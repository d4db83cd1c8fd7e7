"""History by the minute in SQLite, behind one writer thread: for the forecast, for calibration and for people.

Control never waits for it and never fails by it: a full queue drops the oldest rows, a full or broken disk drops what
cannot be written, both are counted and said once. WAL, one transaction a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec


class MinuteRow(msgspec.Struct, frozen=True, kw_only=True):
    """Means over one minute that ended at ``unix_min`` · 60 s (UTC, so it never repeats); None: not measured.

    W and var positive downstream, ``v2g_w`` positive charges; ``k_pu`` is a root mean square, temperatures are means,
    ``…_read_c`` what the transducers said and the others what was counted with.
    """

    unix_min: int
    base_w: float | None = None
    base_var: float | None = None
    load_w: float | None = None
    v2g_w: float | None = None
    k_pu: float | None = None
    f_hl: float | None = None
    ambient_read_c: float | None = None
    top_oil_read_c: float | None = None
    winding_read_c: float | None = None
    ambient_c: float | None = None
    top_oil_c: float | None = None
    hot_spot_c: float | None = None
    bias_k: float | None = None
    lo_w: float | None = None
    """Permitted interval, the narrowest of the minute."""
    hi_w: float | None = None
    ageing_rate: float | None = None


class EvseMinute(msgspec.Struct, frozen=True, kw_only=True):
    unix_min: int
    evse_id: str
    vehicle: str
    power_w: float | None
    granted_w: float
    soc_pct: float | None


class TripRow(msgspec.Struct, frozen=True, kw_only=True):
    unix_s: float
    element: str
    value: float
    unit: str
    phase: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryHealth:
    """``problem``: why nothing is written at present, with the remedy; empty while it works."""

    problem: str
    dropped_rows: int
    written_rows: int
    size_bytes: int


class History:
    """The writer. All methods return at once and never raise, :meth:`close` excepted, which waits up to ``wait_s``."""

    def __init__(
        self, path: Path, *, keep_days: int, max_bytes: int, on_problem: Callable[[str], None] | None = None
    ) -> None:
        """Nothing is opened here. ``on_problem`` is called from the writer's thread, with a text when writing begins to
        fail and an empty one when it works again."""
        raise NotImplementedError

    def start(self) -> None:
        raise NotImplementedError

    def put_minute(self, row: MinuteRow, evses: tuple[EvseMinute, ...] = ()) -> None:
        raise NotImplementedError

    def put_trip(self, row: TripRow) -> None:
        raise NotImplementedError

    def keep(self, name: str, data: bytes) -> None:
        """State of some part, one newest value a name; survives restarts."""
        raise NotImplementedError

    @property
    def health(self) -> HistoryHealth:
        raise NotImplementedError

    def close(self, wait_s: float = 2.0) -> None:
        """Write what is queued and end the thread."""
        raise NotImplementedError


class HistoryError(Exception):
    """The file cannot be read; the message names it and the remedy."""


def load_kept(path: Path, name: str) -> bytes | None:
    """What :meth:`History.keep` stored; None where there is none. Raises :class:`HistoryError` for a file that is
    broken (the writer moves such a file aside and starts a new one)."""
    raise NotImplementedError


def read_minutes(path: Path, since_min: int, until_min: int) -> Iterator[MinuteRow]:
    """``since_min <= unix_min < until_min``, ascending, gaps as they are. Read-only, beside a running writer.
    Raises :class:`HistoryError`."""
    raise NotImplementedError
