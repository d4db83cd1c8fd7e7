"""COMTRADE (IEEE C37.111) through the package ``comtrade``: three phase voltages of a fault recorder's file."""

from __future__ import annotations

import re
import warnings
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from v2g.grid.estimate import SAMPLE_RATE_MIN_HZ
from v2g.replay.record import (
    MAX_BYTES,
    NOMINAL_HZ,
    SHORTEST_S,
    ReadOptions,
    Record,
    nominal_frequency,
    pre_fault_voltage,
    require_rate,
)
from v2g.replay.stimulus import ReplayError, Samples
from v2g.replay.synthesis import SampledRecord

SUFFIXES = (".cfg", ".cff", ".dat")
_ENCODINGS = ("utf-8", "gb18030", "latin-1")
"""The last takes any byte."""
_UNITS = {"V": 1.0, "KV": 1e3, "MV": 1e6}
_PHASE_NAMES = ({"A", "L1", "1", "R", "AN"}, {"B", "L2", "2", "S", "BN"}, {"C", "L3", "3", "T", "CN"})
_NAME = re.compile(r"(?:^|[^A-Za-z])[UV]_?(?:L)?([ABCabc123])N?$", re.I)


def read_comtrade(path: Path, options: ReadOptions) -> tuple[Record, ...]:
    """The sections that are sampled fast enough, in their order. Raises
    :class:`~v2g.replay.stimulus.ReplayError` naming file and remedy."""
    recorded = _load(path)
    channels = _channels(path, recorded, options)
    names = [recorded.cfg.analog_channels[at].name for at in channels]
    volts, scaled = _volts(path, recorded, channels)
    remarks = [f"voltages are the channels {', '.join(names)}", *scaled]
    records: list[Record] = []
    first, begins_s, nominal_hz, nominal_v = 0, 0.0, 0.0, 0.0
    for number, (rate_hz, last) in enumerate(_sections(path, recorded), start=1):
        part = volts[first:last]
        first = last
        offset_s, begins_s = begins_s, begins_s + (len(part) / rate_hz if rate_hz > 0.0 else 0.0)
        label = f"section {number}"
        if rate_hz < SAMPLE_RATE_MIN_HZ or len(part) < SHORTEST_S * rate_hz:
            remarks.append(
                f"{label} is left out: {len(part)} samples at {rate_hz:g} Hz are not enough to estimate from"
            )
            continue
        where = f"{path}, {label}"
        require_rate(where, rate_hz)
        if not records:
            # Once for all: a later section may begin in the middle of the fault.
            nominal_hz, nominal_v = _nominal(where, part, rate_hz, recorded, options, remarks)
        stimulus = SampledRecord(part, rate_hz, nominal_hz, nominal_v)
        records.append(Record(stimulus=stimulus, label=label, offset_s=offset_s))
    if not records:
        raise ReplayError(
            f"{path}: no section of at least {SHORTEST_S:g} s with {SAMPLE_RATE_MIN_HZ} samples a second or more; "
            "export the record with a higher rate"
        )
    return tuple(
        replace(
            record,
            label=record.label if len(records) > 1 else "",
            begins=recorded.start_timestamp + timedelta(seconds=record.offset_s),
            remarks=tuple(remarks),
        )
        for record in records
    )


def _load(path: Path) -> Any:
    try:
        import comtrade
    except ImportError:
        raise ReplayError(f"{path}: COMTRADE needs the package comtrade; install v2g-orchestrator[replay]") from None
    if path.suffix.lower() == ".dat":
        siblings = [path.with_suffix(suffix) for suffix in (".cfg", ".CFG")]
        path = next((sibling for sibling in siblings if sibling.exists()), siblings[0])
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ReplayError(f"{path}: more than {MAX_BYTES >> 20} MB; cut out the event")
        content = path.read_bytes() if path.suffix.lower() == ".cfg" else b""
        recorded = comtrade.Comtrade(ignore_warnings=True, use_double_precision=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if path.suffix.lower() == ".cfg":
                recorded.load(str(path), encoding=_encoding(content))
            else:
                recorded.load(str(path))
    except OSError as error:
        place = error.filename or path
        raise ReplayError(f"{place}: {error.strerror or error}; .cfg and .dat must stand side by side") from None
    except ReplayError:
        raise
    except Exception as error:
        # The package lets out whatever a broken line led to.
        raise ReplayError(
            f"{path}: not COMTRADE as IEEE C37.111 has it ({type(error).__name__}: {error}); export it again"
        ) from None
    if recorded.total_samples < 2 or (recorded.time[-1] == 0.0 and recorded.time[1] != 0.0):
        raise ReplayError(f"{path}: its data ends before the {recorded.total_samples} samples it states; copy it again")
    return recorded


def _encoding(content: bytes) -> str:
    for encoding in _ENCODINGS:
        try:
            content.decode(encoding)
        except UnicodeDecodeError:
            continue
        return encoding
    return _ENCODINGS[-1]


def _channels(path: Path, recorded: Any, options: ReadOptions) -> list[int]:
    analog = recorded.cfg.analog_channels
    names = [channel.name for channel in analog]
    if options.channels is not None:
        chosen = [_named(names, wanted) for wanted in options.channels]
        if None in chosen:
            missing = [name for name, at in zip(options.channels, chosen, strict=True) if at is None]
            raise ReplayError(f"{path}: no channel {', '.join(missing)}; it has {_listed(names)}")
        return [at for at in chosen if at is not None]
    found = [[at for at, channel in enumerate(analog) if _is_voltage_of(channel, phase)] for phase in range(3)]
    if any(not candidates for candidates in found):
        raise ReplayError(f"{path}: no three phase voltages among {_listed(names)}; name them with --channels a,b,c")
    first = found[0][0]
    group = analog[first].ccbm

    def of_group(candidates: list[int]) -> int:
        return next((at for at in candidates if group and analog[at].ccbm == group), candidates[0])

    return [first, of_group(found[1]), of_group(found[2])]


def _named(names: list[str], wanted: str) -> int | None:
    if wanted in names:
        return names.index(wanted)
    if wanted.isdecimal() and 1 <= int(wanted) <= len(names):
        return int(wanted) - 1
    return None


def _listed(names: list[str]) -> str:
    shown = [f"{number} {name}" for number, name in enumerate(names, start=1)]
    return ", ".join(shown[:12]) + (f" and {len(shown) - 12} more" if len(shown) > 12 else "")


def _is_voltage_of(channel: Any, phase: int) -> bool:
    if channel.uu.strip().upper() not in _UNITS:
        return False
    said = channel.ph.strip().upper()
    if said:
        return said in _PHASE_NAMES[phase]
    match = _NAME.search(channel.name.strip())
    return match is not None and match.group(1).upper() in _PHASE_NAMES[phase]


def _volts(path: Path, recorded: Any, channels: list[int]) -> tuple[Samples, list[str]]:
    """Primary volts where the file states a ratio, and what was done."""
    columns: list[Samples] = []
    remarks: list[str] = []
    for at in channels:
        channel = recorded.cfg.analog_channels[at]
        factor = _UNITS.get(channel.uu.strip().upper())
        if factor is None:
            raise ReplayError(f"{path}: channel {channel.name} is in {channel.uu!r}, not V or kV; name another")
        # 1991 files state no side: what they hold is taken as it is.
        if channel.pors.strip().upper() == "S" and channel.primary > 0.0 and channel.secondary > 0.0:
            ratio = channel.primary / channel.secondary
            factor *= ratio
            if ratio != 1.0 and not remarks:
                remarks.append(f"secondary values times {ratio:g}, the stated ratio, are primary volts")
        column = np.asarray(recorded.analog[at], np.float64) * factor
        if not np.isfinite(column).all():
            row = int(np.argmin(np.isfinite(column)))
            raise ReplayError(f"{path}: sample {row + 1} of {channel.name} is missing; cut the record before it")
        columns.append(column)
    return np.stack(columns, axis=1), remarks


def _sections(path: Path, recorded: Any) -> list[tuple[float, int]]:
    if not recorded.cfg.timestamp_critical:
        return [(float(rate_hz), int(last)) for rate_hz, last in recorded.cfg.sample_rates]
    times_s = np.asarray(recorded.time, np.float64)
    period_s = float(np.median(np.diff(times_s)))
    if not period_s > 0.0 or np.abs(np.diff(times_s) - period_s).max() > 0.05 * period_s:
        raise ReplayError(f"{path}: no sample rate is stated and its time stamps are uneven; export it with a rate")
    return [(1.0 / period_s, len(times_s))]


def _nominal(
    where: str, volts: Samples, rate_hz: float, recorded: Any, options: ReadOptions, remarks: list[str]
) -> tuple[float, float]:
    """Frequency and voltage; what was taken from the record is added to ``remarks``."""
    nominal_hz = options.nominal_frequency_hz or (recorded.frequency if recorded.frequency in NOMINAL_HZ else None)
    if nominal_hz is None:
        nominal_hz, said = nominal_frequency(where, volts, rate_hz)
        remarks.append(said)
    nominal_v = options.nominal_voltage_v
    if nominal_v is None:
        nominal_v, said = pre_fault_voltage(where, volts, rate_hz, nominal_hz)
        remarks.append(said)
    return nominal_hz, nominal_v
