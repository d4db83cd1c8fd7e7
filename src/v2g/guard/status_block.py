"""The file behind :class:`~v2g.guard.status.GuardStatus`: one writer, any number of readers, no lock between them.

Layout (little-endian): an 8-byte magic, then two slots that are written in turn. A slot is a sequence number, the
packed status and a CRC-32 over both. A reader takes the newest slot whose CRC holds, so a writer that stops in the
middle of a write, on any processor's memory ordering, costs at most the newest status and never yields a mixed one.
"""

from __future__ import annotations

import fcntl
import math
import mmap
import os
import struct
import zlib
from pathlib import Path

import msgspec

from v2g import __version__
from v2g.guard import status_header
from v2g.guard.interlocks import Interlock
from v2g.guard.lateness import TOLD_EDGES
from v2g.guard.status import MAX_AGE_S, GuardStatus, Permit
from v2g.hardware.file_owner import discard_untrusted, require_trusted

LAYOUT = 5
_MAGIC = status_header.magic(LAYOUT)
_BODY = struct.Struct("<QdiI3dd5dd16sddQQdii3ddd3d3d3d3d16s8s4s1sBBB64sd11Q")
"""sequence, as_of_s, permit, flags, v_pu, frequency, powers, enter service, trip (element, value, at), tick counts,
operation, blocks, curtailment (charge, discharge) and ramp, rocof, v1_pu, transformer_a, feeder_a, inverter_v_pu,
inverter_angle_deg, profile, digest, trip (unit, phase), interlocks (watched, open, lost), locked_by,
lateness (sum, counts by bucket). A
value that is not known is NaN."""
_LATENESS_COUNTS = len(TOLD_EDGES) + 1
_NO_COUNTS = (0,) * _LATENESS_COUNTS
_CRC = struct.Struct("<I")
_SLOT_BYTES = (_BODY.size + _CRC.size + 63) // 64 * 64
_SLOT_OFFSETS = (64, 64 + _SLOT_BYTES)
_FILE_BYTES = 64 + 2 * _SLOT_BYTES

_COMMANDED = 1
_CLOSED_KNOWN = 2
_CLOSED = 4
_MEASURED = 8
_REALTIME = 16
_LOAD_MEASURED = 32
_PERMIT_SERVICE = 64
_RELAY_KNOWN = 128
_RELAY_CLOSED = 256
_MAINS_KNOWN = 512
_MAINS = 1024


class StatusBlockError(Exception):
    """The status file cannot be written; the message names the path and the remedy."""


class StatusWriter:
    """Publishes the state of ``tick``. Holds a lock on the file: a second writer is refused.

    Raises :class:`StatusBlockError` when the file cannot be created or another process writes it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            discard_untrusted(path)
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        except OSError as error:
            raise StatusBlockError(
                f"cannot create the guard status {path}: {error.strerror}; the run directory must exist and be "
                "writable by the guard's user"
            ) from error
        try:
            require_trusted(path, os.fstat(self._fd))
        except (OSError, ValueError) as error:
            os.close(self._fd)
            raise StatusBlockError(f"the guard status {path} cannot be used: {error}") from None
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._fd)
            raise StatusBlockError(
                f"another process writes the guard status {path}: stop the other v2g-guard tick first"
            ) from error
        try:
            if os.fstat(self._fd).st_size < _FILE_BYTES:
                os.ftruncate(self._fd, _FILE_BYTES)
            self._map = mmap.mmap(self._fd, _FILE_BYTES)
        except (OSError, ValueError) as error:
            os.close(self._fd)
            raise StatusBlockError(f"cannot map the guard status {path}: {error}; is the file system full?") from error
        found = [_unpack(self._map[offset : offset + _SLOT_BYTES]) for offset in _SLOT_OFFSETS]
        self._sequence = max((entry[0] for entry in found if entry is not None), default=0)
        self._map[: len(_MAGIC)] = _MAGIC
        status_header.write_version(self._map, __version__)

    def publish(self, status: GuardStatus) -> None:
        """Write one whole status. No system call, no allocation beyond one packed record."""
        self._sequence += 1
        body = _pack(self._sequence, status)
        offset = _SLOT_OFFSETS[self._sequence & 1]
        self._map[offset : offset + len(body) + _CRC.size] = body + _CRC.pack(zlib.crc32(body))

    def close(self) -> None:
        """Release the file; what was published stays and grows old."""
        self._map.close()
        os.close(self._fd)


class StatusReader:
    """Reads what ``tick`` published. Opens the file when it appears and again when it was replaced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1

    def read(self, now_s: float) -> GuardStatus:
        """The newest whole status. Never raises: missing, torn, foreign, old or from the future is ``GUARD_STALE``.

        A stale status keeps its time, its counters, its trip, the interlocks that were open and who has locked it;
        everything measured and the breaker are unknown.
        """
        status = self._newest()
        if status is None or abs(now_s - status.as_of_s) > MAX_AGE_S:
            self._close()
            again = self._newest()
            status = again if again is not None else status
        if status is None:
            return GuardStatus(
                as_of_s=0.0, permit=Permit.GUARD_STALE, breaker_commanded_closed=False, breaker_closed=None
            )
        if abs(now_s - status.as_of_s) <= MAX_AGE_S:
            return status
        return GuardStatus(
            as_of_s=status.as_of_s,
            permit=Permit.GUARD_STALE,
            breaker_commanded_closed=False,
            breaker_closed=None,
            trip_element=status.trip_element,
            trip_value=status.trip_value,
            trip_unit=status.trip_unit,
            trip_phase=status.trip_phase,
            trip_at_s=status.trip_at_s,
            ticks=status.ticks,
            late_ticks=status.late_ticks,
            worst_lateness_s=status.worst_lateness_s,
            lateness_counts=status.lateness_counts,
            lateness_sum_s=status.lateness_sum_s,
            interlocks_open=status.interlocks_open,
            locked_by=status.locked_by,
        )

    def close(self) -> None:
        """Let go of the file; a later read opens it again."""
        self._close()

    def _newest(self) -> GuardStatus | None:
        # pread, not mmap: a file that was truncated under a mapping would kill the reader with SIGBUS.
        try:
            if self._fd < 0:
                self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
                require_trusted(self._path, os.fstat(self._fd))
            content = os.pread(self._fd, _FILE_BYTES, 0)
        except (OSError, ValueError):
            self._close()
            return None
        if len(content) < _FILE_BYTES or not content.startswith(_MAGIC):
            return None
        newest: tuple[int, GuardStatus] | None = None
        for offset in _SLOT_OFFSETS:
            entry = _unpack(content[offset : offset + _SLOT_BYTES])
            if entry is not None and (newest is None or entry[0] > newest[0]):
                newest = entry
        return None if newest is None else newest[1]

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _pack(sequence: int, status: GuardStatus) -> bytes:
    flags = (
        (_COMMANDED if status.breaker_commanded_closed else 0)
        | (_CLOSED_KNOWN if status.breaker_closed is not None else 0)
        | (_CLOSED if status.breaker_closed else 0)
        | (_MEASURED if status.measured else 0)
        | (_REALTIME if status.realtime else 0)
        | (_LOAD_MEASURED if status.load_measured else 0)
        | (_PERMIT_SERVICE if status.permit_service else 0)
        | (_RELAY_KNOWN if status.relay_closed is not None else 0)
        | (_RELAY_CLOSED if status.relay_closed else 0)
        | (_MAINS_KNOWN if status.mains_present is not None else 0)
        | (_MAINS if status.mains_present else 0)
    )
    return _BODY.pack(
        sequence,
        status.as_of_s,
        int(status.permit),
        flags,
        *status.v_pu,
        _or_nan(status.frequency_hz),
        status.transformer_w,
        status.transformer_var,
        status.transformer_va,
        status.feeder_w,
        status.feeder_var,
        status.enter_service_remaining_s,
        status.trip_element.encode("ascii", "replace")[:16],
        status.trip_value,
        status.trip_at_s,
        status.ticks,
        status.late_ticks,
        status.worst_lateness_s,
        status.operation,
        status.blocks,
        status.curtail_charge,
        status.curtail_discharge,
        status.service_fraction,
        _or_nan(status.rocof_hz_s),
        status.v1_pu,
        *status.transformer_a,
        *status.feeder_a,
        *status.inverter_v_pu,
        *map(_or_nan, status.inverter_angle_deg),
        status.profile.encode("ascii", "replace")[:16],
        status.settings_digest.encode("ascii", "replace")[:8],
        status.trip_unit.encode("ascii", "replace")[:4],
        status.trip_phase.encode("ascii", "replace")[:1],
        int(status.interlocks),
        int(status.interlocks_open),
        int(status.interlocks_lost),
        status.locked_by.encode("ascii", "replace")[:64],
        status.lateness_sum_s,
        *(status.lateness_counts if len(status.lateness_counts) == _LATENESS_COUNTS else _NO_COUNTS),
    )


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def _text(content: bytes) -> str:
    return content.rstrip(b"\0").decode("ascii", "replace")


def _unpack(slot: bytes) -> tuple[int, GuardStatus] | None:
    body = slot[: _BODY.size]
    if _CRC.unpack_from(slot, _BODY.size)[0] != zlib.crc32(body):
        return None
    fields = _BODY.unpack(body)
    sequence, as_of_s, permit, flags = fields[:4]
    if sequence == 0 or not math.isfinite(as_of_s):
        return None
    try:
        status = GuardStatus(
            as_of_s=as_of_s,
            permit=Permit(permit),
            breaker_commanded_closed=bool(flags & _COMMANDED),
            breaker_closed=bool(flags & _CLOSED) if flags & _CLOSED_KNOWN else None,
            v_pu=fields[4:7],
            frequency_hz=_or_none(fields[7]),
            transformer_w=fields[8],
            transformer_var=fields[9],
            transformer_va=fields[10],
            feeder_w=fields[11],
            feeder_var=fields[12],
            measured=bool(flags & _MEASURED),
            load_measured=bool(flags & _LOAD_MEASURED),
            enter_service_remaining_s=fields[13],
            trip_element=_text(fields[14]),
            trip_value=fields[15],
            trip_at_s=fields[16],
            ticks=fields[17],
            late_ticks=fields[18],
            worst_lateness_s=fields[19],
            realtime=bool(flags & _REALTIME),
            operation=fields[20],
            blocks=fields[21],
            curtail_charge=fields[22],
            curtail_discharge=fields[23],
            service_fraction=fields[24],
            permit_service=bool(flags & _PERMIT_SERVICE),
            relay_closed=bool(flags & _RELAY_CLOSED) if flags & _RELAY_KNOWN else None,
            mains_present=bool(flags & _MAINS) if flags & _MAINS_KNOWN else None,
            rocof_hz_s=_or_none(fields[25]),
            v1_pu=fields[26],
            transformer_a=fields[27:30],
            feeder_a=fields[30:33],
            inverter_v_pu=fields[33:36],
            inverter_angle_deg=(_or_none(fields[36]), _or_none(fields[37]), _or_none(fields[38])),
            profile=_text(fields[39]),
            settings_digest=_text(fields[40]),
            trip_unit=_text(fields[41]),
            trip_phase=_text(fields[42]),
            interlocks=Interlock(fields[43]),
            interlocks_open=Interlock(fields[44]),
            interlocks_lost=Interlock(fields[45]),
            locked_by=_text(fields[46]),
            lateness_sum_s=fields[47],
            lateness_counts=fields[48:] if any(fields[48:]) else (),
        )
    except (ValueError, msgspec.ValidationError):
        return None
    return sequence, status
