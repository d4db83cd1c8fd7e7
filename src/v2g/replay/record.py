"""What a recorded file holds, whatever its format: one stimulus or several, and what was assumed to make them."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from v2g.grid.estimate import SAMPLE_RATE_MAX_HZ, SAMPLE_RATE_MIN_HZ
from v2g.replay.stimulus import ReplayError, Samples
from v2g.replay.synthesis import SampledRecord, SlowRecord

MAX_BYTES = 512 << 20
NOMINAL_HZ = (50.0, 60.0)
SHORTEST_S = 0.1
_LOOK_AT_S = 0.2
_PRE_FAULT_CYCLES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """``label``: which part of the file; empty where it has only one. ``begins``: the clock time of its first row."""

    stimulus: SampledRecord | SlowRecord
    label: str = ""
    begins: datetime | None = None
    offset_s: float = 0.0
    """Of the stimulus's start, in the file's own time."""
    remarks: tuple[str, ...] = ()
    """What was assumed, in words; people must see it."""

    def cut(self, from_s: float | None, to_s: float | None) -> Record:
        """The part between two times of the file. Raises :class:`~v2g.replay.stimulus.ReplayError` for an empty one."""
        start_s = self.offset_s if from_s is None else max(from_s, self.offset_s)
        end_s = self.offset_s + self.stimulus.duration_s
        end_s = end_s if to_s is None else min(to_s, end_s)
        if end_s - start_s < SHORTEST_S:
            raise ReplayError(
                f"{start_s:g} to {end_s:g} s holds less than {SHORTEST_S:g} s of the record, which lasts from "
                f"{self.offset_s:g} to {self.offset_s + self.stimulus.duration_s:g} s; widen --from and --to"
            )
        skipped_s = start_s - self.offset_s
        return replace(
            self,
            stimulus=self.stimulus.cut(skipped_s, end_s - start_s),
            begins=None if self.begins is None else self.begins + timedelta(seconds=skipped_s),
            offset_s=start_s,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    channels: tuple[str, str, str] | None = None
    """Of phases a, b and c; as the file names them, or counted from 1 (COMTRADE)."""
    nominal_voltage_v: float | None = None
    """Line to neutral, RMS."""
    nominal_frequency_hz: float | None = None


def header_of(path: Path) -> list[str]:
    """The first row of a CSV. Raises :class:`~v2g.replay.stimulus.ReplayError` when it cannot be read."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ReplayError(f"{path}: more than {MAX_BYTES >> 20} MB; cut out the event")
        with path.open(newline="", encoding="utf-8-sig") as file:
            row: list[str] = next(csv.reader(file), [])
            return [name.strip() for name in row]
    except OSError as error:
        raise ReplayError(f"{path}: {error.strerror or error}; check the path and its permissions") from None
    except (UnicodeDecodeError, csv.Error):
        raise ReplayError(
            f"{path}: no text; known are case files and CSV (.csv) and COMTRADE (.cfg with its .dat, .cff)"
        ) from None


def require_rate(where: str, rate_hz: float) -> None:
    if not SAMPLE_RATE_MIN_HZ <= rate_hz <= SAMPLE_RATE_MAX_HZ:
        raise ReplayError(
            f"{where}: {rate_hz:g} samples a second; the guard's estimator works with {SAMPLE_RATE_MIN_HZ} to "
            f"{SAMPLE_RATE_MAX_HZ}: export the record with such a rate"
        )


def nominal_frequency(where: str, volts: Samples, rate_hz: float) -> tuple[float, str]:
    """50 or 60 Hz, whichever is nearer to the strongest line of the record's beginning, and the remark that says so."""
    part = volts[: max(2, round(_LOOK_AT_S * rate_hz))]
    windowed = part * np.hanning(len(part))[:, None]
    spectrum = np.abs(np.fft.rfft(windowed, n=max(1 << 14, len(part)), axis=0)).sum(axis=1)
    at_hz = float(np.argmax(spectrum)) * rate_hz / max(1 << 14, len(part))
    nearest = min(NOMINAL_HZ, key=lambda nominal: abs(nominal - at_hz))
    if not abs(at_hz - nearest) < 8.0:
        raise ReplayError(f"{where}: no 50 or 60 Hz in its first {_LOOK_AT_S:g} s; state --nominal-frequency")
    return nearest, f"nominal frequency {nearest:g} Hz, from the record's beginning"


def pre_fault_voltage(where: str, volts: Samples, rate_hz: float, nominal_frequency_hz: float) -> tuple[float, str]:
    """The median of the phases' RMS over the first two cycles, and the remark that says so."""
    part = volts[: round(_PRE_FAULT_CYCLES * rate_hz / nominal_frequency_hz)]
    rms_v = float(np.median(np.sqrt(np.mean(part * part, axis=0))))
    if not rms_v > 0.0:
        raise ReplayError(f"{where}: no voltage in its first cycles to take as nominal; state --nominal-voltage")
    return rms_v, (
        f"nominal voltage {rms_v:.4g} V, the RMS before the event (first {_PRE_FAULT_CYCLES} cycles); "
        "--nominal-voltage states another"
    )


def numbered_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Rows below the header with their line numbers; empty ones left out."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            next(reader, None)
            for row in reader:
                if row:
                    yield reader.line_num, row
    except OSError as error:
        raise ReplayError(f"{path}: {error.strerror or error}; check the path and its permissions") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ReplayError(f"{path}: {error}; write it as plain CSV in UTF-8") from None
