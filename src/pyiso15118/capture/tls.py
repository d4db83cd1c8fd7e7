"""TLS connections of a capture: recognised, described, and opened where their secrets are known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from pyiso15118.capture.network import Host
from pyiso15118.capture.tcp import Piece
from pyiso15118.capture.tls_keys import SUITES, RecordKey, Secrets, Suite

MAX_HELD_BYTES: Final = 1 << 20
"""Of records of one connection that wait for secrets named later in the capture."""
_HEADER_BYTES: Final = 5
_MAX_RECORD_BYTES: Final = 16_384 + 256
_ALERT, _HANDSHAKE, _APPLICATION_DATA = 21, 22, 23
_CLIENT_HELLO, _SERVER_HELLO, _KEY_UPDATE = 1, 2, 24
_SUPPORTED_VERSIONS: Final = 43
_VERSIONS: Final = {0x0301: "1.0", 0x0302: "1.1", 0x0303: "1.2", 0x0304: "1.3"}


@dataclass(frozen=True, slots=True)
class Unread:
    """A connection whose content stays closed. ``version``: ``1.3``, empty where its beginning was not seen."""

    unix_s: float
    source: Host
    target: Host
    version: str
    records: int
    reason: str


@dataclass(slots=True)
class _Side:
    """One direction."""

    buffer: bytearray = field(default_factory=bytearray)
    key: RecordKey | None = None
    in_handshake: bool = True
    before_messages: int = 0
    """Records that its key did not open yet."""
    begun: bool = False
    """Whether content of it was read."""
    broken: str = ""
    """Why nothing more of it can be opened."""


@dataclass(slots=True)
class _Record:
    unix_s: float
    from_server: bool
    data: bytes


class TlsConnection:
    """Both directions of one connection. ``client`` is who was heard first, until a hello says otherwise."""

    def __init__(self, secrets: Secrets, client: Host, server: Host) -> None:
        self._secrets = secrets
        self._client, self._server = client, server
        self._sides = {False: _Side(), True: _Side()}
        self._random = b""
        self._suite_number = 0
        self._version = ""
        self._held: list[_Record] = []
        self._held_bytes = 0
        self._closed_records = 0
        self._began_unix_s: float | None = None
        self._over = False

    def feed(self, piece: Piece) -> Iterator[Piece]:
        """Content that ``piece`` makes readable."""
        if self._began_unix_s is None:
            self._began_unix_s = piece.unix_s
        from_server = piece.source == self._server
        side = self._sides[from_server]
        if piece.gap:
            side.buffer.clear()
            # The number of the next record is not known, and each is opened by its number.
            side.broken = "bytes of it are missing in the capture"
        side.buffer += piece.data
        for record in _records(side):
            if not self._random and record[0] == _HANDSHAKE and record[5:6] == b"\x01" and from_server:
                # The capture began within the handshake of a connection that was taken the wrong way round.
                self._client, self._server = self._server, self._client
                self._sides = {False: self._sides[True], True: self._sides[False]}
                from_server = False
            yield from self._record(_Record(piece.unix_s, from_server, record))

    def is_over(self, first: bytes) -> bool:
        """Whether these first bytes of a connection between the same ends are of another one."""
        return not begins_tls(first) or (bool(self._random) and first[0] == _HANDSHAKE and first[5:6] == b"\x01")

    def retry(self) -> Iterator[Piece]:
        """Content that secrets named since make readable, both directions in their order."""
        held, self._held, self._held_bytes = self._held, [], 0
        for record in held:
            yield from self._record(record)

    def finish(self) -> Iterator[Piece]:
        """The capture is over: content of a direction whose secret is known, though the other's is not."""
        self._over = True
        yield from self.retry()

    def unread(self) -> Unread | None:
        """What is to be told when the capture is over; None where all was read."""
        closed = self._closed_records + len(self._held)
        if all(side.in_handshake for side in self._sides.values()):
            closed += sum(side.before_messages for side in self._sides.values())
        if not closed or self._began_unix_s is None:
            return None
        return Unread(self._began_unix_s, self._client, self._server, self._version, closed, self._why())

    def _why(self) -> str:
        if not self._version:
            return "the capture does not have the beginning of the connection, without which no secret opens it"
        if self._version != "1.3":
            return f"TLS {self._version} is not opened here, and ISO 15118-20 does not allow it"
        if self._suite_number not in SUITES:
            return f"the suite {self._suite_number:#06x} is not opened here"
        if any(side.key is not None and side.in_handshake for side in self._sides.values()) and not self._held:
            return "no record opens with the secrets that are known: they are of another connection, or wrong"
        if broken := self._sides[False].broken or self._sides[True].broken:
            return broken
        return (
            f"no secrets are known for the connection with client random {self._random.hex()}: the key log of vehicle "
            "or station opens it (python -m pyiso15118 decode --keylog FILE); an end that is this package shows its "
            "messages above TLS (pyiso15118.aio.Tracer)"
        )

    def _record(self, record: _Record) -> Iterator[Piece]:
        kind = record.data[0]
        if kind == _HANDSHAKE:
            self._hello(record)
        elif kind == _APPLICATION_DATA:
            yield from self._open(record)

    def _hello(self, record: _Record) -> None:
        body = record.data[_HEADER_BYTES:]
        if len(body) < 39:
            return
        if body[0] == _CLIENT_HELLO and not record.from_server:
            self._random = body[6:38]
        elif body[0] == _SERVER_HELLO and record.from_server:
            found = _server_hello(body)
            if found is not None:
                self._version = _VERSIONS.get(found[0], f"{found[0]:#06x}")
                self._suite_number = found[1]

    def _open(self, record: _Record) -> Iterator[Piece]:
        side = self._sides[record.from_server]
        suite = SUITES.get(self._suite_number)
        if side.broken or not self._random or self._version != "1.3" or suite is None:
            self._closed_records += 1
            return
        if side.key is None or side.in_handshake:
            found = self._open_early(side, record, suite)
            if found is None:
                return
        else:
            opened = side.key.open(record.data)
            if opened is None:
                side.broken = "a record of it does not open with the secret that is known"
                self._closed_records += 1
                return
            found = opened
        kind, content = found
        if kind == _APPLICATION_DATA and content:
            ends = (self._server, self._client) if record.from_server else (self._client, self._server)
            yield Piece(record.unix_s, *ends, content, begins=not side.begun)
            side.begun = True
        elif kind == _HANDSHAKE and content[:1] == bytes([_KEY_UPDATE]) and side.key is not None:
            side.key = side.key.updated()

    def _open_early(self, side: _Side, record: _Record, suite: Suite) -> tuple[int, bytes] | None:
        """A record of which it is not known whether it is still the handshake's.

        The key of messages opens its first record and no other, so whichever that is ends the handshake; what comes
        before it is of no interest.
        """
        secret = self._secrets.traffic(self._random, server=record.from_server)
        other = self._secrets.traffic(self._random, server=not record.from_server)
        if secret is None or (other is None and not self._over):
            self._hold(record)
            return None
        if side.key is None:
            if len(secret) != (48 if suite.hash_name == "sha384" else 32):
                side.broken = f"the secret that is known does not fit {suite.name}"
                self._closed_records += 1
                return None
            side.key = RecordKey(suite, secret)
        opened = side.key.open(record.data)
        if opened is None:
            side.before_messages += 1
        else:
            side.in_handshake = False
        return opened

    def _hold(self, record: _Record) -> None:
        if self._held_bytes + len(record.data) > MAX_HELD_BYTES:
            self._sides[record.from_server].broken = "its secrets come too late in the capture"
            self._closed_records += 1
            return
        self._held.append(record)
        self._held_bytes += len(record.data)


def begins_tls(data: bytes) -> bool:
    """Whether a stream, or what is seen of it, begins with a TLS record."""
    return len(data) >= 3 and _ALERT - 1 <= data[0] <= _APPLICATION_DATA and data[1] == 3 and data[2] <= 4


def _records(side: _Side) -> Iterator[bytes]:
    """Whole records, with their headers."""
    buffer = side.buffer
    while len(buffer) >= _HEADER_BYTES:
        size = _HEADER_BYTES + int.from_bytes(buffer[3:5])
        if not begins_tls(bytes(buffer[:3])) or size > _HEADER_BYTES + _MAX_RECORD_BYTES:
            side.broken = side.broken or "it is not a stream of TLS records throughout"
            buffer.clear()
            return
        if len(buffer) < size:
            return
        record = bytes(buffer[:size])
        del buffer[:size]
        yield record


def _server_hello(body: bytes) -> tuple[int, int] | None:
    """Version and suite; None where it is cut."""
    position = 39 + body[38]
    suite, version = int.from_bytes(body[position : position + 2]), int.from_bytes(body[4:6])
    if len(body) < position + 2:
        return None
    position += 5
    while position + 4 <= len(body):
        kind, size = int.from_bytes(body[position : position + 2]), int.from_bytes(body[position + 2 : position + 4])
        if kind == _SUPPORTED_VERSIONS:
            version = int.from_bytes(body[position + 4 : position + 6])
        position += 4 + size
    return version, suite
