"""Simple CSV: samples of three phase voltages, or slow records of RMS voltages and frequency. The header decides."""

from __future__ import annotations

import math
import re
from datetime import datetime
from pathlib import Path

import numpy as np

from v2g.grid.estimate import FREQUENCY_FLOOR_PU
from v2g.replay.record import (
    NOMINAL_HZ,
    ReadOptions,
    Record,
    header_of,
    nominal_frequency,
    numbered_rows,
    pre_fault_voltage,
    require_rate,
)
from v2g.replay.stimulus import ReplayError, Samples
from v2g.replay.synthesis import NOMINAL_VOLTAGE_V, SampledRecord, SlowRecord

TIME = ("t_s", "time_s")
FREQUENCY = ("freq_hz", "f_hz", "frequency_hz")
_PHASES = (re.compile(r"[uv]_?(a|l1|1)n?_(pu|v|kv)", re.I), re.compile(r"[uv]_?(b|l2|2)n?_(pu|v|kv)", re.I),
           re.compile(r"[uv]_?(c|l3|3)n?_(pu|v|kv)", re.I))  # fmt: skip
_FORMS = (
    "wanted are t_s and three voltages: va_pu, vb_pu, vc_pu (samples, per unit of the nominal peak), va_v, vb_v, vc_v "
    "(samples in V), or t_s, freq_hz, v_l1_pu, v_l2_pu, v_l3_pu (slow records of RMS)"
)
_SMALLEST_ROWS = 2
_UNEVEN_SAMPLES = 0.05
_ROUNDING_S = 1e-6
_LONGEST_GAP_S = 600.0


def read_csv(path: Path, options: ReadOptions) -> Record:
    """Raises :class:`~v2g.replay.stimulus.ReplayError` naming file, line and remedy."""
    header = header_of(path)
    lower = [name.lower() for name in header]
    time_column = next((lower.index(name) for name in TIME if name in lower), None)
    if time_column is None:
        raise ReplayError(f"{path}, line 1: no column t_s; {_FORMS}")
    frequency_column = next((lower.index(name) for name in FREQUENCY if name in lower), None)
    columns = _voltage_columns(path, header, options)
    unit = _unit(path, [header[column] for column in columns])
    wanted = [time_column, *columns] + ([] if frequency_column is None else [frequency_column])
    values, begins, missing = _values(path, header, wanted, frequency_column is not None)
    remarks = [f"voltages are {', '.join(header[column] for column in columns)}"]
    if missing:
        remarks.append(f"{missing} rows hold nothing and are bridged by a straight line")
    if frequency_column is None:
        return _samples(path, values, unit, options, remarks)
    return _slow(path, values, unit, options, remarks, begins)


def _voltage_columns(path: Path, header: list[str], options: ReadOptions) -> list[int]:
    if options.channels is not None:
        missing = [name for name in options.channels if name not in header]
        if missing:
            raise ReplayError(f"{path}, line 1: no column {', '.join(missing)}; it has {', '.join(header)}")
        return [header.index(name) for name in options.channels]
    found = [[at for at, name in enumerate(header) if phase.fullmatch(name)] for phase in _PHASES]
    if any(not columns for columns in found):
        raise ReplayError(f"{path}, line 1: no three phase voltages among {', '.join(header)}; {_FORMS}")
    return [columns[0] for columns in found]


def _unit(path: Path, names: list[str]) -> str:
    units = {name.lower().rsplit("_", 1)[-1] for name in names}
    if len(units) != 1 or not units <= {"pu", "v", "kv"}:
        raise ReplayError(f"{path}, line 1: {', '.join(names)} do not say one unit; let them end in _pu, _v or _kv")
    return units.pop()


def _values(path: Path, header: list[str], wanted: list[int], slow: bool) -> tuple[Samples, datetime | None, int]:
    """The wanted columns, the clock time of the first row, and how many rows of a slow record held nothing."""
    rows: list[list[float]] = []
    lines: list[int] = []
    missing = 0
    begins: datetime | None = None
    stamp = next((at for at, name in enumerate(header) if name.lower().startswith("timestamp")), None)
    for line, row in numbered_rows(path):
        if len(row) != len(header):
            raise ReplayError(f"{path}, line {line}: {len(row)} fields, the header has {len(header)}; complete the row")
        empty = slow and all(_is_missing(row[at]) for at in wanted[1:])
        numbers = [_number(path, line, header[at], row[at], empty or (slow and at == wanted[-1])) for at in wanted]
        if empty:
            missing += 1
            continue
        if rows and numbers[0] <= rows[-1][0]:
            raise ReplayError(
                f"{path}, line {line}: t_s {numbers[0]:g} does not come after {rows[-1][0]:g}; sort the rows by time"
            )
        if not rows and stamp is not None:
            begins = _timestamp(row[stamp])
        rows.append(numbers)
        lines.append(line)
    if len(rows) < _SMALLEST_ROWS:
        raise ReplayError(f"{path}: {len(rows)} rows; an event needs at least {_SMALLEST_ROWS}")
    values = np.array(rows)
    _require_even(path, values[:, 0], lines, slow)
    return values, begins, missing


def _is_missing(text: str) -> bool:
    return text.strip().lower() in ("", "nan")


def _number(path: Path, line: int, name: str, text: str, may_be_missing: bool) -> float:
    if may_be_missing and _is_missing(text):
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ReplayError(f"{path}, line {line}, {name}: {text!r} is not a number; correct it or take the row out")
    return value


def _timestamp(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _require_even(path: Path, times_s: Samples, lines: list[int], slow: bool) -> None:
    if slow:
        gaps = np.diff(times_s)
        if gaps.max() > _LONGEST_GAP_S:
            at = int(np.argmax(gaps))
            raise ReplayError(
                f"{path}, line {lines[at + 1]}: nothing for {gaps[at]:g} s before it; split the file at the gap"
            )
        return
    period_s = (times_s[-1] - times_s[0]) / (len(times_s) - 1)
    off_s = np.abs(times_s - times_s[0] - period_s * np.arange(len(times_s)))
    if off_s.max() > _UNEVEN_SAMPLES * period_s + _ROUNDING_S:
        at = int(np.argmax(off_s > _UNEVEN_SAMPLES * period_s + _ROUNDING_S))
        raise ReplayError(
            f"{path}, line {lines[at]}: samples are not evenly spaced ({off_s[at] * 1e6:.0f} us off); "
            "resample the record, or split it where its rate changes"
        )


def _samples(path: Path, values: Samples, unit: str, options: ReadOptions, remarks: list[str]) -> Record:
    rate_hz = (len(values) - 1) / float(values[-1, 0] - values[0, 0])
    if abs(rate_hz - round(rate_hz)) < 1e-3 * rate_hz:
        rate_hz = float(round(rate_hz, -1)) if abs(rate_hz - round(rate_hz, -1)) < 1e-4 * rate_hz else round(rate_hz)
    require_rate(str(path), rate_hz)
    volts = values[:, 1:4]
    nominal_hz = options.nominal_frequency_hz
    if nominal_hz is None:
        nominal_hz, said = nominal_frequency(str(path), volts, rate_hz)
        remarks.append(said)
    if unit == "pu":
        nominal_v = options.nominal_voltage_v or NOMINAL_VOLTAGE_V
        volts = volts * (math.sqrt(2.0) * nominal_v)
        remarks.append("samples are per unit of the nominal peak")
    else:
        volts = volts * (1000.0 if unit == "kv" else 1.0)
        if options.nominal_voltage_v is None:
            nominal_v, said = pre_fault_voltage(str(path), volts, rate_hz, nominal_hz)
            remarks.append(said)
        else:
            nominal_v = options.nominal_voltage_v
    return Record(
        stimulus=SampledRecord(volts, rate_hz, nominal_hz, nominal_v),
        offset_s=float(values[0, 0]),
        remarks=tuple(remarks),
    )


def _slow(
    path: Path, values: Samples, unit: str, options: ReadOptions, remarks: list[str], begins: datetime | None
) -> Record:
    v = values[:, 1:4]
    if (v < 0.0).any():
        row = int(np.argmax((v < 0.0).any(axis=1)))
        raise ReplayError(f"{path}: a negative voltage at t_s {values[row, 0]:g}; slow records hold RMS values")
    nominal_v = options.nominal_voltage_v
    if unit == "pu":
        nominal_v = nominal_v or NOMINAL_VOLTAGE_V
    else:
        v = v * (1000.0 if unit == "kv" else 1.0)
        if nominal_v is None:
            nominal_v = float(np.median(v[0]))
            remarks.append(
                f"nominal voltage {nominal_v:.4g} V, that of the first row; --nominal-voltage states another"
            )
        if not nominal_v > 0.0:
            raise ReplayError(f"{path}: the first row has no voltage to take as nominal; state --nominal-voltage")
        v = v / nominal_v
    hz = values[:, 4]
    unknown = ~np.isfinite(hz)
    alive = unknown & (v.max(axis=1) >= FREQUENCY_FLOOR_PU)
    if alive.any() or unknown.all():
        at = int(np.argmax(alive))
        raise ReplayError(f"{path}: no frequency at t_s {values[at, 0]:g} beside a live voltage; state it in that row")
    hz = np.interp(values[:, 0], values[~unknown, 0], hz[~unknown])
    nominal_hz = options.nominal_frequency_hz
    if nominal_hz is None:
        median_hz = float(np.median(hz))
        nominal_hz = min(NOMINAL_HZ, key=lambda nominal: abs(nominal - median_hz))
        remarks.append(f"nominal frequency {nominal_hz:g} Hz, the nearer to the median of the rows")
    step_s = float(np.median(np.diff(values[:, 0])))
    remarks.append(
        f"a slow record, a row every {step_s:g} s: waveforms are made again with straight lines between rows, so "
        f"nothing faster than that is in them; below {FREQUENCY_FLOOR_PU:g} p.u. a phase is noise of the recorded "
        "RMS, whatever frequency the record prints"
    )
    return Record(
        stimulus=SlowRecord(values[:, 0], hz, v, nominal_hz, nominal_v),
        begins=begins,
        offset_s=float(values[0, 0]),
        remarks=tuple(remarks),
    )
