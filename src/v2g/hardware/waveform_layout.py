"""Layout of the waveform buffer, version 2, as :mod:`v2g.hardware.waveform` describes it: header and channel table."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

from v2g.hardware.shared_record import RECORD_BYTES

CHANNELS = (
    "v_bus_a", "v_bus_b", "v_bus_c",
    "i_tr_a", "i_tr_b", "i_tr_c",
    "i_v2g_a", "i_v2g_b", "i_v2g_c",
    "v_inv_a", "v_inv_b", "v_inv_c",
)  # fmt: skip

MAGIC = b"V2GWAVE\0"
VERSION = 2
# magic, version, bytes before the ring, samples per second, capacity, channels, the writer's process
HEADER = struct.Struct("<8s6I")
TABLE_AT = 64
# name, scale, full scale, reserved
CHANNEL = struct.Struct("<24sdi4x")
BEGIN_AT = 3072
NEWEST_AT = BEGIN_AT + 64
RING_AT = 4096
NAME_BYTES = 24
MIN_CHANNELS, MAX_CHANNELS = 12, 64
MIN_CAPACITY, MAX_CAPACITY = 256, 1 << 20
MAX_RATE_HZ = 1_000_000
COUNT_LIMIT = 2**31 - 1
NOT_TAKEN = -(2**31)

assert TABLE_AT + MAX_CHANNELS * CHANNEL.size <= BEGIN_AT  # noqa: S101 - layout, checked once at import
assert NEWEST_AT + RECORD_BYTES <= RING_AT  # noqa: S101


@dataclass(frozen=True, slots=True)
class Header:
    """``scales`` in V or A a count; ``full_scale`` the count at which the converter saturates."""

    sample_rate_hz: int
    capacity: int
    names: tuple[str, ...]
    scales: tuple[float, ...]
    full_scale: tuple[int, ...]
    writer_pid: int

    @property
    def file_bytes(self) -> int:
        return RING_AT + self.capacity * len(self.names) * 4


def check(header: Header, wanted: tuple[str, ...]) -> None:
    """Raises ValueError naming what is wrong: rate, capacity, channels (``wanted`` must be there), scales."""
    if not 1 <= header.sample_rate_hz <= MAX_RATE_HZ:
        raise ValueError(f"its sample rate is {header.sample_rate_hz} Hz; 1..{MAX_RATE_HZ} are allowed")
    if not MIN_CAPACITY <= header.capacity <= MAX_CAPACITY:
        raise ValueError(f"its capacity is {header.capacity} samples; {MIN_CAPACITY}..{MAX_CAPACITY} are allowed")
    names = header.names
    if not MIN_CHANNELS <= len(names) <= MAX_CHANNELS:
        raise ValueError(f"it has {len(names)} channels; {MIN_CHANNELS}..{MAX_CHANNELS} are allowed")
    bad = [name for name in names if not name or not name.isascii() or not name.isprintable()]
    bad += [name for name in names if len(name) > NAME_BYTES]
    if bad:
        raise ValueError(f"channel name {bad[0]!r}: 1 to {NAME_BYTES} printable ASCII characters are allowed")
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"channel {twice[0]} is there twice")
    missing = [name for name in wanted if name not in names]
    if missing:
        raise ValueError(f"it has no channel {', '.join(missing)}; there are {', '.join(names)}")
    for name, scale, full_scale in zip(names, header.scales, header.full_scale, strict=True):
        if not (math.isfinite(scale) and scale > 0):
            raise ValueError(f"the scale of {name} is {scale:g}; it must be above 0 V or A a count")
        if full_scale < 1:
            raise ValueError(f"the full scale of {name} is {full_scale} counts; 1..{COUNT_LIMIT} are allowed")


def pack(header: Header) -> bytes:
    """The first :data:`RING_AT` bytes of a new file."""
    content = bytearray(RING_AT)
    HEADER.pack_into(
        content,
        0,
        MAGIC,
        VERSION,
        RING_AT,
        header.sample_rate_hz,
        header.capacity,
        len(header.names),
        header.writer_pid,
    )
    table = zip(header.names, header.scales, header.full_scale, strict=True)
    for number, (name, scale, full_scale) in enumerate(table):
        CHANNEL.pack_into(content, TABLE_AT + number * CHANNEL.size, name.encode(), scale, full_scale)
    return bytes(content)


def unpack(content: bytes) -> Header:
    """Raises ValueError for what is no buffer of this version; :func:`check` judges the rest."""
    magic, version, ring_at, rate_hz, capacity, channels, pid = HEADER.unpack_from(content, 0)
    if magic != MAGIC:
        raise ValueError("it is not a waveform buffer")
    if version != VERSION:
        raise ValueError(f"it has version {version}; version {VERSION} is needed")
    if ring_at != RING_AT:
        raise ValueError(f"its ring begins at {ring_at}; version {VERSION} has it at {RING_AT}")
    rows = [
        CHANNEL.unpack_from(content, TABLE_AT + number * CHANNEL.size)
        for number in range(channels if channels <= MAX_CHANNELS else 0)
    ]
    return Header(
        sample_rate_hz=rate_hz,
        capacity=capacity,
        names=tuple(row[0].rstrip(b"\0").decode("ascii", "replace") for row in rows),
        scales=tuple(row[1] for row in rows),
        full_scale=tuple(row[2] for row in rows),
        writer_pid=pid,
    )
