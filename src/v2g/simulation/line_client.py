"""A blocking client of the simulation's control sockets: JSON, one message a line, one request at a time."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any, ClassVar, Self

import msgspec

_READ_BYTES = 65_536


class NotReachable(Exception):
    """The process does not answer; the message names its socket."""


class RequestRefused(Exception):
    """It answered with an error."""


class LineClient:
    """A context manager. ``NAME``: whose socket it is, for people."""

    NAME: ClassVar[str]
    UNREACHABLE: ClassVar[type[NotReachable]] = NotReachable
    REFUSED: ClassVar[type[RequestRefused]] = RequestRefused

    def __init__(self, path: Path, timeout_s: float = 5.0) -> None:
        """Raises :class:`NotReachable`."""
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout_s)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise self.UNREACHABLE(f"no {self.NAME} at {path}: {error.strerror or error}") from None
        self._buffer = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def ask(self, **request: Any) -> dict[str, Any]:
        """Raises :class:`NotReachable`, :class:`RequestRefused`."""
        try:
            self._socket.sendall(msgspec.json.encode(request) + b"\n")
            while b"\n" not in self._buffer:
                piece = self._socket.recv(_READ_BYTES)
                if not piece:
                    raise self.UNREACHABLE(f"the {self.NAME} at {self._path} ended the connection")
                self._buffer += piece
        except OSError as error:
            raise self.UNREACHABLE(f"the {self.NAME} at {self._path} does not answer: {error}") from None
        line, _, rest = bytes(self._buffer).partition(b"\n")
        self._buffer = bytearray(rest)
        answer: dict[str, Any] = msgspec.json.decode(line)
        if not answer.pop("ok"):
            raise self.REFUSED(str(answer.get("error")))
        return answer
