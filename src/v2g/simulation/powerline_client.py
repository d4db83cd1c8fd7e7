"""The powerline's control socket, for whoever measures or disturbs it."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import msgspec

_MAX_ANSWER_BYTES = 1 << 20


class PowerlineRefused(Exception):
    """It was asked for something that it cannot do; the message says why."""


class PowerlineClient:
    """One connection; requests are those of :mod:`v2g.simulation.powerline_config`."""

    def __init__(self, path: Path, timeout_s: float = 5.0) -> None:
        """Raises OSError."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout_s)
        try:
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise

    def __enter__(self) -> PowerlineClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def ask(self, **request: Any) -> dict[str, Any]:
        """Raises OSError and :class:`PowerlineRefused`."""
        self._socket.sendall(msgspec.json.encode(request) + b"\n")
        data = b""
        while not data.endswith(b"\n"):
            piece = self._socket.recv(65_536)
            if not piece or len(data) > _MAX_ANSWER_BYTES:
                raise OSError("the powerline ended the connection")
            data += piece
        answer: dict[str, Any] = msgspec.json.decode(data)
        if not answer.pop("ok"):
            raise PowerlineRefused(str(answer.get("error")))
        return answer
