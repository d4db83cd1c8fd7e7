"""The waveform buffer: a memory-mapped ring of samples, one writer, any number of readers. Version 2.

An FPGA driver, an IEC 61850-9-2 bridge or the simulated plant writes it. All integers and floating point numbers are
little-endian; offsets are in bytes from the beginning of the file.

======= ======= ========================================================================================
Offset  Type    Content
======= ======= ========================================================================================
0       char[8] magic ``V2GWAVE`` and a zero byte
8       u32     version: 2
12      u32     where the ring begins: 4096
16      u32     samples a second, of each channel
20      u32     capacity: frames in the ring, 256 to 1048576
24      u32     channels, 12 to 64
28      u32     process id of the writer, for messages only; 0: unknown
32      zero    reserved
64      table   40 bytes a channel: char[24] name, ASCII, filled with zeros; f64 scale, V or A a count, above 0; i32
                full scale, the count (magnitude) at which the converter saturates; 4 bytes zero
3072    u64     ``begun``: frames ever written, those being written now included
3136    record  ``newest``, 64 bytes: frames ever written (the sequence), and CLOCK_MONOTONIC in ns at which the last
                of them was taken (the writer's heartbeat)
4096    ring    ``capacity`` frames of one i32 a channel in the order of the table; frame k is at place k modulo
                capacity, k from 0
======= ======= ========================================================================================

The record has two slots that are written in turn, with a check word: :mod:`v2g.hardware.shared_record` says how.

*Channels.* The twelve of :data:`CHANNELS` must be there, in any order; further ones may follow, such as an inverter's
own terminal voltages. Volts are line to neutral; currents are positive downstream: ``i_tr`` into the low-voltage bus,
``i_v2g`` towards the vehicles. Samples are filtered against aliasing before they are taken. -2147483648 is a sample
that could not be taken, and so is every frame that was lost: a writer fills it in, for the sequence has to advance with
the time.

*Making the file.* Under another name, whole, with its lock taken; then renamed into place. Readers notice a new file.

*Writing a block* (at most half the capacity, at least every 10 ms), each step visible to others before the next: store
``begun`` = frames after this block; store the frames; store ``newest``. A reader copies the frames up to the newest one
and then looks at ``begun``: those before ``begun - capacity`` may have been overwritten meanwhile and are read again.

*One writer.* It holds a write lock on the whole file (``F_OFD_SETLK``, :mod:`v2g.hardware.file_lock`) as long as it
lives, and makes no file where another holds one. The kernel releases the lock with the process: to its readers the
writer is then gone (:class:`WriterGone`), at once. One that lives and stands still is known by its heartbeat, two that
ignore the lock by their sequence (:mod:`v2g.hardware.sample_clock`).
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from v2g.hardware import file_lock
from v2g.hardware import waveform_layout as layout
from v2g.hardware.file_owner import discard_untrusted, require_trusted
from v2g.hardware.sensor_map import Factors
from v2g.hardware.shared_record import SharedRecord, fence, file_identity, map_descriptor
from v2g.hardware.waveform_layout import Header

CHANNELS = layout.CHANNELS

HEARTBEAT_LATE_S = 0.02
"""A writer whose newest samples are older than this is late; the reader of ``as_of_s`` decides what follows."""

Samples = npt.NDArray[np.float64]
_Ring = npt.NDArray[np.int32]

_ATTEMPTS = 4
_CHECK = "is the sampling process running and waveform.buffer_path right?"


class WaveformError(Exception):
    """The buffer is missing, of another kind, torn or not yet filled. The message names path and remedy."""


class WriterGone(WaveformError):
    """Nobody holds the buffer's lock: its writer has ended."""


class WaveformWindow(NamedTuple):
    """The newest samples: ``samples[i, c]`` in V or A, oldest first, channels as in :data:`CHANNELS` or as asked for.

    ``last_index`` counts the samples ever written up to and with the last row; ``as_of_s`` is CLOCK_MONOTONIC of the
    writer when it took that one. ``generation`` grows when the writer has made a new buffer: ``last_index`` began anew.
    """

    samples: Samples
    last_index: int
    as_of_s: float
    generation: int = 0


class WaveformWriter:
    """The one writer; make it with :meth:`create`."""

    def __init__(self, path: Path, header: Header, memory: mmap.mmap) -> None:
        self.path = path
        self.sample_rate_hz = header.sample_rate_hz
        self.capacity = header.capacity
        self.channels = header.names
        # The mapping is of the locked open file: it keeps the lock.
        self._memory = memory
        self._scales = np.array(header.scales)
        self._full_scale = np.array(header.full_scale, np.float64)
        self._begun: npt.NDArray[np.uint64] = np.frombuffer(memory, "<u8", 1, layout.BEGIN_AT)
        self._newest = SharedRecord(memory, layout.NEWEST_AT)
        self._ring = _ring(memory, header)
        self._index = 0

    @classmethod
    def create(
        cls,
        path: Path,
        sample_rate_hz: int,
        scales: Mapping[str, float],
        capacity: int = 8192,
        extra: tuple[str, ...] = (),
        full_scale: Mapping[str, int] | None = None,
    ) -> WaveformWriter:
        """A new buffer at ``path`` with :data:`CHANNELS` and ``extra``; replaces an old one, readers notice.

        ``scales``: V or A per count, each channel. ``full_scale``: counts at which a channel saturates, where these are
        fewer than 2147483647. Raises :class:`WaveformError`, also while another process writes the buffer.
        """
        names = CHANNELS + extra
        limits = full_scale or {}
        header = Header(
            sample_rate_hz=sample_rate_hz,
            capacity=capacity,
            names=names,
            scales=tuple(float(scales.get(name, 0.0)) for name in names),
            full_scale=tuple(limits.get(name, layout.COUNT_LIMIT) for name in names),
            writer_pid=os.getpid(),
        )
        try:
            layout.check(header, CHANNELS)
            fd = _place_locked(path, layout.pack(header), header.file_bytes)
            try:
                memory, _ = map_descriptor(fd, header.file_bytes, writable=True)
            finally:
                os.close(fd)
        except (OSError, ValueError) as error:
            raise WaveformError(f"waveform buffer {path}: {error}; check waveform.buffer_path and its owner") from None
        return cls(path, header, memory)

    def write(self, samples: npt.ArrayLike, now_s: float) -> None:
        """Append rows of :attr:`channels` in V and A; ``now_s`` is when the last of them was taken.

        Values beyond the full scale are clipped; NaN and infinity become "not taken".
        """
        rows = np.asarray(samples, np.float64)
        if rows.ndim != 2 or rows.shape[1] != len(self.channels) or len(rows) > self.capacity // 2:
            raise WaveformError(
                f"waveform buffer {self.path}: a block of shape {rows.shape}; wanted is "
                f"at most {self.capacity // 2} rows of {len(self.channels)}"
            )
        with np.errstate(invalid="ignore"):
            scaled = np.clip(np.rint(rows / self._scales), -self._full_scale, self._full_scale)
        counts = np.where(np.isfinite(rows), scaled, layout.NOT_TAKEN).astype("<i4")
        start = self._index % self.capacity
        head = min(len(counts), self.capacity - start)
        # Readers that copy what is about to be overwritten learn it from here, so it goes first.
        self._begun[0] = self._index + len(counts)
        fence()
        self._ring[start : start + head] = counts[:head]
        self._ring[: len(counts) - head] = counts[head:]
        fence()
        self._index += len(counts)
        self._newest.write(self._index, round(now_s * 1e9))

    def close(self) -> None:
        """The file stays; its readers see that its writer is gone."""
        del self._begun, self._newest, self._ring
        self._memory.close()


class WaveformReader:
    """Reads the newest samples; follows the writer when it makes a new buffer. Raises :class:`WaveformError`.

    ``full_scale``: V or A at which each of :data:`CHANNELS` saturates; a sample that reaches it is clipped. ``factors``
    correct the channels that they name: what the buffer says, times the scale, plus the offset (V or A).
    """

    sample_rate_hz: int
    capacity: int
    channels: tuple[str, ...]
    full_scale: Samples

    def __init__(self, path: Path, factors: Factors | None = None) -> None:
        self.path = path
        self.generation = 0
        self._fd = -1
        self._identity: tuple[int, int] | None = None
        self._factors: Factors = factors or {}
        self._open()

    def correct(self, factors: Factors) -> None:
        """Other ``factors`` from the next window on. Raises :class:`WaveformError`, and then nothing has changed."""
        if self._identity is not None:
            self._require_channels(self._header, factors)
        self._factors = factors
        if self._identity is not None:
            self._take_factors()

    def latest(self, n: int) -> WaveformWindow:
        """The newest ``n`` samples (at most half the capacity) of :data:`CHANNELS`.

        Raises :class:`WriterGone` when the writer has ended, :class:`WaveformError` if the buffer is gone, if fewer
        were written yet, or if the writer overran the reader again and again.
        """
        self._follow()
        return self._read(n, self._standard)

    def latest_of(self, names: tuple[str, ...], n: int) -> WaveformWindow:
        """:meth:`latest` of the channels ``names``, in their order; also for one that is not in the buffer."""
        self._follow()
        columns = self._chosen.get(names)
        if columns is None:
            try:
                columns = self._chosen[names] = _Columns(self._header, names, self._factors)
            except ValueError as error:
                raise WaveformError(
                    f"waveform buffer {self.path}: {error}; check voltage_channels and the sampling process"
                ) from None
        return self._read(n, columns)

    def close(self) -> None:
        """Let go of the file; a later read opens it again."""
        if self._identity is not None:
            del self._begun, self._newest, self._ring
            self._memory.close()
            os.close(self._fd)
        self._identity = None

    def _follow(self) -> None:
        if self._identity is None or file_identity(self.path) != self._identity:
            self._open()
        if not file_lock.is_locked(self._fd):
            raise WriterGone(f"waveform buffer {self.path}: its writer has ended; start the sampling process")

    def _read(self, n: int, columns: _Columns) -> WaveformWindow:
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
            if int(self._begun[0]) - self.capacity <= last - n:
                return WaveformWindow(columns.scaled(counts), last, written_ns / 1e9, self.generation)
        raise WaveformError(
            f"waveform buffer {self.path}: overwritten while read; the reader is too slow or n too large"
        )

    def _open(self) -> None:
        self.close()
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                require_trusted(self.path, os.fstat(fd))
                header = layout.unpack(os.pread(fd, layout.RING_AT, 0).ljust(layout.RING_AT, b"\0"))
                layout.check(header, CHANNELS)
                self._require_channels(header, self._factors)
                memory, identity = map_descriptor(fd, header.file_bytes, writable=False)
            except BaseException:
                os.close(fd)
                raise
        except (OSError, ValueError) as error:
            raise WaveformError(f"waveform buffer {self.path}: {error}; {_CHECK}") from None
        self._fd, self._memory, self._identity, self._header = fd, memory, identity, header
        self.sample_rate_hz, self.capacity, self.channels = header.sample_rate_hz, header.capacity, header.names
        self._take_factors()
        self._begun: npt.NDArray[np.uint64] = np.frombuffer(memory, "<u8", 1, layout.BEGIN_AT)
        self._newest = SharedRecord(memory, layout.NEWEST_AT)
        self._ring = _ring(memory, header)
        self.generation += 1

    def _take_factors(self) -> None:
        self._standard = _Columns(self._header, CHANNELS, self._factors)
        self._chosen: dict[tuple[str, ...], _Columns] = {}
        self.full_scale = self._standard.full_scale

    def _require_channels(self, header: Header, factors: Factors) -> None:
        missing = [name for name in factors if name not in header.names]
        if missing:
            raise WaveformError(
                f"waveform buffer {self.path}: it has no channel {', '.join(missing)}; there are "
                f"{', '.join(header.names)}; correct sensor_map.conf or the sampling process"
            )


class _Columns:
    """Where the channels asked for are in a frame, and what a count of each is."""

    def __init__(self, header: Header, names: tuple[str, ...], factors: Factors) -> None:
        missing = [name for name in names if name not in header.names]
        if missing:
            raise ValueError(f"it has no channel {', '.join(missing)}; there are {', '.join(header.names)}")
        places = [header.names.index(name) for name in names]
        self._places = None if header.names == names else np.array(places)
        corrections = np.array([factors.get(name, (1.0, 0.0)) for name in names])
        self._scales = np.array([header.scales[place] for place in places]) * corrections[:, 0]
        self._offsets: Samples | None = corrections[:, 1] if corrections[:, 1].any() else None
        counts = np.array([header.full_scale[place] for place in places])
        self.full_scale: Samples = self._scales * counts - np.abs(corrections[:, 1])

    def scaled(self, counts: _Ring) -> Samples:
        if self._places is not None:
            counts = counts.take(self._places, axis=1)
        samples: Samples = counts * self._scales
        if self._offsets is not None:
            samples += self._offsets
        samples[counts == layout.NOT_TAKEN] = np.nan
        return samples


def _place_locked(path: Path, head: bytes, size: int) -> int:
    """A new file at ``path``, locked for its writer; returns its descriptor. Raises OSError, ValueError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    discard_untrusted(path)
    for _ in range(_ATTEMPTS):
        # The lock on the old file keeps others from replacing it too, until the new one is in place.
        old = _lock_old(path)
        try:
            temporary.unlink(missing_ok=True)
            fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
            try:
                file_lock.lock(fd)
                os.ftruncate(fd, size)
                os.pwrite(fd, head, 0)
                if old is None:
                    path.hardlink_to(temporary)
                    return fd
                status = os.fstat(old)
                if file_identity(path) == (status.st_dev, status.st_ino):
                    temporary.replace(path)
                    return fd
                os.close(fd)
            except FileExistsError:
                os.close(fd)
            except BaseException:
                os.close(fd)
                raise
        finally:
            temporary.unlink(missing_ok=True)
            if old is not None:
                os.close(old)
    raise ValueError("another process makes it again and again")


def _lock_old(path: Path) -> int | None:
    """The file that is there, locked; None where there is none. Raises ValueError naming who holds it."""
    try:
        old = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    try:
        if file_lock.lock(old):
            return old
        content = os.pread(old, layout.HEADER.size, 0).ljust(layout.HEADER.size, b"\0")
        magic, *_, pid = layout.HEADER.unpack(content)
        holder = _process(pid) if magic == layout.MAGIC and pid else "another process"
    except BaseException:
        os.close(old)
        raise
    os.close(old)
    raise ValueError(f"{holder} writes it; stop that one first, a buffer has one writer")


def _process(pid: int) -> str:
    try:
        name = Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except OSError:
        return f"process {pid}"
    return f"process {pid} ({name})"


def _ring(memory: mmap.mmap, header: Header) -> _Ring:
    channels = len(header.names)
    return np.frombuffer(memory, "<i4", header.capacity * channels, layout.RING_AT).reshape(header.capacity, channels)
