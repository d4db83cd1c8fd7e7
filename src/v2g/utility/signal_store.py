"""Operators' signals kept across a restart: ``<state_dir>/signals.json``, written whole at every change.

Those of a VTN are not kept: it is asked again. What cannot be read, is over or is not plausible is dropped and said.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from v2g.host.files import replace_file
from v2g.host.kept import Kept, decode_kept
from v2g.utility.signal_book import MOST, OPERATOR, Entry, SignalError, check
from v2g.utility.signals import Signal, SignalKind

_MAX_FILE_BYTES = 1 << 20


class _KeptSignal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: str
    kind: SignalKind
    value: float
    starts_unix_s: float
    ends_unix_s: float
    source: str
    unit: str = ""


class _Kept(Kept, frozen=True, kw_only=True, forbid_unknown_fields=True):
    signals: tuple[_KeptSignal, ...]
    """The oldest first: which of two is the newer one stays known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """``problem`` says in words what was dropped and why, or is empty."""

    entries: tuple[Entry, ...] = ()
    problem: str = ""


class SignalStore:
    """The file. Written to a temporary and renamed into place, so that it is either the old one or the new one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._saved: tuple[Entry, ...] | None = None

    def load(self, unix_s: float, longest_s: float) -> Restored:
        """The signals that still stand. Never raises: an unreadable file gives none and says so."""
        try:
            with self._path.open("rb") as file:
                kept = decode_kept(file.read(_MAX_FILE_BYTES), _Kept)
        except FileNotFoundError:
            return Restored()
        except (OSError, msgspec.MsgspecError) as error:
            return Restored(problem=f"{self._path} cannot be read, its signals are dropped: {error}")
        entries, problems = [], []
        for line in kept.signals:
            signal = Signal(
                id=line.id,
                kind=line.kind,
                value=line.value,
                starts_unix_s=line.starts_unix_s,
                ends_unix_s=line.ends_unix_s,
                source=line.source,
            )
            if signal.ends_unix_s <= unix_s:
                continue
            try:
                check(signal, unix_s, longest_s)
            except SignalError as error:
                problems.append(f"signal {line.id!r} of {self._path} is dropped: {error}")
                continue
            entries.append(Entry(signal=signal, unit=line.unit))
        if len(entries) > MOST[OPERATOR]:
            problems.append(f"{self._path} has {len(entries)} signals, the first {MOST[OPERATOR]} are taken")
            entries = entries[: MOST[OPERATOR]]
        return Restored(entries=tuple(entries), problem="; ".join(problems))

    def save(self, entries: Iterable[Entry]) -> None:
        """Keep these, the oldest first. Does nothing when they are what the last call kept. Raises ``OSError``."""
        entries = tuple(entries)
        if self._saved == entries:
            return
        kept = _Kept(
            signals=tuple(
                _KeptSignal(
                    id=entry.signal.id,
                    kind=entry.signal.kind,
                    value=entry.signal.value,
                    starts_unix_s=entry.signal.starts_unix_s,
                    ends_unix_s=entry.signal.ends_unix_s,
                    source=entry.signal.source,
                    unit=entry.unit,
                )
                for entry in entries
            )
        )
        replace_file(self._path, msgspec.json.encode(kept) + b"\n")
        self._saved = entries
