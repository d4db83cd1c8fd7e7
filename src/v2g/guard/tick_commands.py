"""Commands to ``tick``: one JSON datagram each way over ``<run_dir>/tick.sock``.

``{"command": "reset_trip", "by": "name"}`` is answered with ``{"accepted": bool, "message": "..."}``. Who may write to
the socket file may command; the orchestrator asks for the role before it passes a command on.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

MAX_DATAGRAM_BYTES = 4096
MAX_COMMANDS_A_TICK = 4
_MAX_BY_CHARS = 64


class TickCommand(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``by`` names who commands; control characters and what exceeds 64 characters are cut."""

    command: Literal["reset_trip"]
    by: str = ""


class CommandReply(msgspec.Struct, frozen=True, kw_only=True):
    accepted: bool
    message: str


class CommandError(Exception):
    """The command socket cannot be made or reached; the message names the path and the remedy."""


class CommandSocket:
    """The side of ``tick``: never blocks. Raises :class:`CommandError` when the socket cannot be bound.

    Make it after the status writer, whose lock keeps a second ``tick`` from taking the socket away.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            path.unlink(missing_ok=True)
            self._socket.bind(os.fspath(path))
            path.chmod(0o660)
        except OSError as error:
            self._socket.close()
            raise CommandError(
                f"cannot bind the command socket {path}: {error.strerror or error}; the run directory must exist and "
                "be writable by the guard's user"
            ) from error
        self._decoder = msgspec.json.Decoder(TickCommand)

    def poll(self, handle: Callable[[TickCommand], CommandReply]) -> None:
        """Take what has arrived (a few a call) and answer it. Nothing that arrives raises."""
        for _ in range(MAX_COMMANDS_A_TICK):
            try:
                data, sender = self._socket.recvfrom(MAX_DATAGRAM_BYTES + 1)
            except OSError:
                return
            if len(data) > MAX_DATAGRAM_BYTES:
                reply = CommandReply(accepted=False, message=f"more than {MAX_DATAGRAM_BYTES} bytes")
            else:
                try:
                    command = self._decoder.decode(data)
                except ValueError as error:
                    reply = CommandReply(accepted=False, message=f"not understood: {error}")
                else:
                    reply = handle(msgspec.structs.replace(command, by=_clean(command.by)))
            if sender:
                with contextlib.suppress(OSError):
                    self._socket.sendto(msgspec.json.encode(reply), sender)

    def close(self) -> None:
        self._socket.close()
        self._path.unlink(missing_ok=True)


_counter = itertools.count()


def send_reset_trip(path: Path, by: str, timeout_s: float = 1.0) -> CommandReply:
    """Ask the ``tick`` behind ``path`` to release its trip latch; waits at most ``timeout_s`` for the answer.

    Blocks: call it in a thread from asyncio. Raises :class:`CommandError` when nobody listens or answers.
    """
    own = path.with_name(f".{path.name}.{os.getpid()}.{next(_counter)}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as client:
        client.settimeout(timeout_s)
        try:
            own.unlink(missing_ok=True)
            client.bind(os.fspath(own))
            # tick may run as another user of the same group.
            own.chmod(0o660)
            client.sendto(msgspec.json.encode(TickCommand(command="reset_trip", by=_clean(by))), os.fspath(path))
            return msgspec.json.decode(client.recv(MAX_DATAGRAM_BYTES), type=CommandReply)
        except TimeoutError as error:
            raise CommandError(f"v2g-guard tick did not answer on {path} within {timeout_s:g} s") from error
        except (OSError, ValueError) as error:
            raise CommandError(
                f"v2g-guard tick is not reachable on {path}: {error}; see systemctl status v2g-guard-tick"
            ) from error
        finally:
            own.unlink(missing_ok=True)


def _clean(by: str) -> str:
    return "".join(character for character in by if character.isprintable())[:_MAX_BY_CHARS]
