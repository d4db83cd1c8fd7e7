"""The waveform buffer: a memory-mapped ring of samples, one writer, any number of readers.

Volts are line to neutral; currents are positive downstream: ``i_tr`` into the low-voltage bus, ``i_v2g`` towards the
vehicles. Samples are int32 counts with a scale per channel; a sample that could not be taken is NaN.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from v2g.hardware.shared_record import RECORD_BYTES, SharedRecord, fence, file_identity, map_file, place_file

CHANNELS = (
    "v_bus_a", "v_bus_b", "v_bus_c",
    "i_tr_a", "i_tr_b", "i_tr_c",
    "i_v2g_a", "i_v2g_b", "i_v2g_c",
    "v_inv_a", "v_inv_b", "v_inv_c",
)  # fmt: skip

HEARTBEAT_LATE_S = 0.02
"""A writer whose newest samples are older than this is late; the reader of ``as_of_s`` decides what follows."""

Samples = npt.NDArray[np.float64]

_MAGIC = b"V2GWAVE\0"
_VERSION = 1
# magic, version, bytes before the ring, samples per second, capacity, channels
_HEADER = struct.Struct("<8s5I")
_NAME_BYTES = 16
_TABLES_AT = 64
_BEGIN_AT = 1024
_NEWEST_AT = _BEGIN_AT + 64
_RING_AT = 4096
_MIN_CAPACITY = 256
_MAX_CAPACITY = 1 << 20
_MAX_RATE_HZ = 1_000_000
_COUNT_LIMIT = 2**31 - 1
_INVALID = -(2**31)
_ATTEMPTS = 4

assert _TABLES_AT + len(CHANNELS) * (_NAME_BYTES + 8) <= _BEGIN_AT  # noqa: S101 - layout, checked once at import
assert _NEWEST_AT + RECORD_BYTES <= _RING_AT  # noqa: S101


class WaveformError(Exception):
    """The buffer is missing, of another kind, torn or not yet filled. The message names path and remedy."""


class WaveformWindow(NamedTuple):
    """The newest samples: ``samples[i, c]`` in V or A, oldest first, channels as in :data:`CHANNELS`.

    ``last_index`` counts the samples ever written up to and with the last row; ``as_of_s`` is CLOCK_MONOTONIC of the
    writer when it wrote them.
    """

    samples: Samples
    last_index: int
    as_of_s: float


class WaveformWriter:
    """The one writer; make it with :meth:`create`."""

    def __init__(self, path: Path, sample_rate_hz: int, scales: Samples, capacity: int, memory: mmap.mmap) -> None:
        self.path = path
        self.sample_rate_hz = sample_rate_hz
        self.capacity = capacity
        self._memory = memory
        self._scales = scales
        self._begin: npt.NDArray[np.uint64] = np.frombuffer(memory, np.uint64, 1, _BEGIN_AT)
        self._newest = SharedRecord(memory, _NEWEST_AT)
        self._ring = _ring(memory, capacity)
        self._index = 0

    @classmethod
    def create(
        cls, path: Path, sample_rate_hz: int, scales: Mapping[str, float], capacity: int = 8192
    ) -> WaveformWriter:
        """A new buffer at ``path`` (replaces an old one; readers notice). ``scales``: V or A per count, each channel.

        Raises :class:`WaveformError`.
        """
        if not 1 <= sample_rate_hz <= _MAX_RATE_HZ or not _MIN_CAPACITY <= capacity <= _MAX_CAPACITY:
            raise WaveformError(
                f"waveform buffer {path}: {sample_rate_hz} samples a second, capacity {capacity}; allowed are "
                f"1..{_MAX_RATE_HZ} and {_MIN_CAPACITY}..{_MAX_CAPACITY}"
            )
        missing = [name for name in CHANNELS if not (scales.get(name, 0.0) > 0 and math.isfinite(scales[name]))]
        if missing:
            raise WaveformError(f"waveform buffer {path}: no usable scale (above 0) for {', '.join(missing)}")
        factors = np.array([scales[name] for name in CHANNELS], np.float64)
        header = _HEADER.pack(_MAGIC, _VERSION, _RING_AT, sample_rate_hz, capacity, len(CHANNELS)).ljust(
            _TABLES_AT, b"\0"
        )
        names = b"".join(name.encode().ljust(_NAME_BYTES, b"\0") for name in CHANNELS)
        content = (header + names + factors.astype("<f8").tobytes()).ljust(_file_size(capacity), b"\0")
        try:
            place_file(path, content, replace=True)
            memory, _ = map_file(path, len(content), writable=True)
        except (OSError, ValueError) as error:
            raise WaveformError(f"waveform buffer {path}: {error}; check waveform.buffer_path and its owner") from None
        return cls(path, sample_rate_hz, factors, capacity, memory)

    def write(self, samples: npt.ArrayLike, now_s: float) -> None:
        """Append rows of :data:`CHANNELS` in V and A; ``now_s`` is when the last of them was taken.

        Values beyond the scale's range are clipped; NaN and infinity become "not taken".
        """
        rows = np.asarray(samples, np.float64)
        if rows.ndim != 2 or rows.shape[1] != len(CHANNELS) or len(rows) > self.capacity // 2:
            raise WaveformError(
                f"waveform buffer {self.path}: a block of shape {rows.shape}; wanted is "
                f"at most {self.capacity // 2} rows of {len(CHANNELS)}"
            )
        with np.errstate(invalid="ignore"):
            scaled = np.clip(np.rint(rows / self._scales), -_COUNT_LIMIT, _COUNT_LIMIT)
        counts = np.where(np.isfinite(rows), scaled, _INVALID).astype(np.int32)
        start = self._index % self.capacity
        head = min(len(counts), self.capacity - start)
        # Readers that copy what is about to be overwritten learn it from here, so it goes first.
        self._begin[0] = self._index + len(counts)
        fence()
        self._ring[start : start + head] = counts[:head]
        self._ring[: len(counts) - head] = counts[head:]
        fence()
        self._index += len(counts)
        self._newest.write(self._index, round(now_s * 1e9))

    def close(self) -> None:
        """The file stays; its readers see it age."""
        del self._begin, self._newest, self._ring
        self._memory.close()


class WaveformReader:
    """Reads the newest samples; follows the writer when it makes a new buffer. Raises :class:`WaveformError`."""

    sample_rate_hz: int
    capacity: int

    def __init__(self, path: Path) -> None:
        self.path = path
        self._identity: tuple[int, int] | None = None
        self._open()

    def latest(self, n: int) -> WaveformWindow:
        """The newest ``n`` samples (at most half the capacity).

        Raises :class:`WaveformError` if the buffer is gone, if fewer were written yet, or if the writer overran the
        reader again and again.
        """
        if self._identity is None or file_identity(self.path) != self._identity:
            self._open()
        if not 1 <= n <= self.capacity // 2:
            raise WaveformError(f"waveform buffer {self.path}: {n} samples asked; 1..{self.capacity // 2} can be read")
        for _ in range(_ATTEMPTS):
            newest = self._newest.read()
            if newest is None or newest[0] < n:
                raise WaveformError(
                    f"waveform buffer {self.path}: {newest[0] if newest else 0} samples so far, {n} needed; "
                    "is the sampling process running?"
                )
            last, written_ns = newest
            fence()
            start = (last - n) % self.capacity
            head = min(n, self.capacity - start)
            counts = np.concatenate((self._ring[start : start + head], self._ring[: n - head]))
            fence()
            if int(self._begin[0]) - self.capacity <= last - n:
                samples = counts * self._scales
                samples[counts == _INVALID] = np.nan
                return WaveformWindow(samples, last, written_ns / 1e9)
        raise WaveformError(
            f"waveform buffer {self.path}: overwritten while read; the reader is too slow or n too large"
        )

    def close(self) -> None:
        self._identity = None
        del self._begin, self._newest, self._ring
        self._memory.close()

    def _open(self) -> None:
        try:
            head, _ = map_file(self.path, _RING_AT, writable=False)
            magic, version, ring_at, rate_hz, capacity, channels = _HEADER.unpack_from(head, 0)
            if magic != _MAGIC or version != _VERSION:
                raise ValueError(f"it is not a waveform buffer of version {_VERSION}")
            if (
                (ring_at, channels) != (_RING_AT, len(CHANNELS))
                or not 1 <= rate_hz <= _MAX_RATE_HZ
                or not _MIN_CAPACITY <= capacity <= _MAX_CAPACITY
            ):
                raise ValueError("its header contradicts itself")
            scales_at = _TABLES_AT + len(CHANNELS) * _NAME_BYTES
            names = [
                head[at : at + _NAME_BYTES].rstrip(b"\0").decode("ascii", "replace")
                for at in range(_TABLES_AT, scales_at, _NAME_BYTES)
            ]
            if names != list(CHANNELS):
                raise ValueError(f"its channels are {', '.join(names)}")
            scales = np.frombuffer(head[scales_at : scales_at + 8 * len(CHANNELS)], "<f8").astype(np.float64)
            if not (np.isfinite(scales).all() and (scales > 0).all()):
                raise ValueError("a scale is not above zero")
            head.close()
            memory, identity = map_file(self.path, _file_size(capacity), writable=False)
        except (OSError, ValueError) as error:
            self._identity = None
            raise WaveformError(
                f"waveform buffer {self.path}: {error}; is the sampling process running and waveform.buffer_path right?"
            ) from None
        self.sample_rate_hz, self.capacity, self._scales = rate_hz, capacity, scales
        self._memory, self._identity = memory, identity
        self._begin: npt.NDArray[np.uint64] = np.frombuffer(memory, np.uint64, 1, _BEGIN_AT)
        self._newest = SharedRecord(memory, _NEWEST_AT)
        self._ring = _ring(memory, capacity)


def _file_size(capacity: int) -> int:
    return _RING_AT + capacity * len(CHANNELS) * 4


def _ring(memory: mmap.mmap, capacity: int) -> npt.NDArray[np.int32]:
    return np.frombuffer(memory, np.int32, capacity * len(CHANNELS), _RING_AT).reshape(capacity, len(CHANNELS))
