"""Commands to ``tick``: one JSON datagram each way over ``<run_dir>/tick.sock``.

``{"command": "reset_trip", "by": "name"}`` is answered with ``{"accepted": bool, "message": "..."}``. Only processes of
root, of ``tick``'s own user and of the orchestrator's may command, by the kernel's word (SCM_CREDENTIALS): to be in the
socket's group is not enough. The orchestrator asks for the role before it passes a command on.

Senders use :func:`send_command`.

- ``reset_trip``: release the latch when enter-service conditions hold; refused with those that do not.
- ``permit_service`` with ``enabled``: withdraw or give permit service; kept across restarts.
- ``adopt_settings``: read the configuration again, take its grid, protection, relay and calibration sections, and
  answer with their digest; on a mistake nothing changes. (The files are read on the background thread; ``tick``
  answers when it has adopted them, within a second.)
- ``measure_phase`` with ``evse_id`` (empty: the feeder's channels): the mean angle of inverter side minus grid over
  60 cycles, as measured, and how far single ones lay from it; refused while either side is dead. (Takes a second.)
- ``lockout`` with ``enabled``, ``note`` and ``name`` (whose lock to take away; empty: the caller's own): lock out the
  breaker, or take a lock away; kept across restarts. ``show_lockout`` answers with the locks that are on.
- ``test_relay`` with ``enabled``: open the breaker and watch the relay's feedback; ends by itself after ten minutes.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import struct
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Any, Literal

import msgspec

from v2g.guard.lockout import MAX_NOTE_CHARS, Lock

MAX_DATAGRAM_BYTES = 8192
MAX_COMMANDS_A_TICK = 4
_MAX_BY_CHARS = 64
_UCRED = struct.Struct("3i")
_ANCILLARY_BYTES = socket.CMSG_SPACE(_UCRED.size)


CommandName = Literal[
    "reset_trip", "permit_service", "adopt_settings", "measure_phase", "test_relay", "lockout", "show_lockout"
]


class TickCommand(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``by`` names who commands, ``name`` another one; control characters and what exceeds 64 characters are cut."""

    command: CommandName
    by: str = ""
    enabled: bool = True
    evse_id: str = ""
    name: str = ""
    note: str = ""


class CommandReply(msgspec.Struct, frozen=True, kw_only=True):
    """``digest``: of the settings in force after the command (:attr:`GuardStatus.settings_digest`)."""

    accepted: bool
    message: str
    digest: str = ""
    angle_deg: tuple[float, float, float] | None = None
    spread_deg: float = 0.0
    locks: tuple[Lock, ...] = ()
    """Those that are on after ``lockout`` and ``show_lockout``."""


Respond = Callable[[CommandReply], None]
"""Sends the answer to who asked, now or later; nothing raises when he is gone."""
Handle = Callable[[TickCommand, Respond], None]


class CommandError(Exception):
    """The command socket cannot be made or reached; the message names the path and the remedy."""


class CommandSocket:
    """The side of ``tick``: never blocks. Raises :class:`CommandError` when the socket cannot be bound.

    ``uids``: whose processes may command; by default those of this process's own user and root. Make it after the
    status writer, whose lock keeps a second ``tick`` from taking the socket away.
    """

    def __init__(self, path: Path, uids: Collection[int] | None = None) -> None:
        self._path = path
        self._uids = frozenset((0, os.getuid(), os.geteuid()) if uids is None else uids)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            path.unlink(missing_ok=True)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            self._socket.bind(os.fspath(path))
            path.chmod(0o660)
        except OSError as error:
            self._socket.close()
            raise CommandError(
                f"cannot bind the command socket {path}: {error.strerror or error}; the run directory must exist and "
                "be writable by the guard's user"
            ) from error
        self._decoder = msgspec.json.Decoder(TickCommand)

    def poll(self, handle: Handle) -> None:
        """Take what has arrived (a few a call) and hand it on with the way to answer. Nothing that arrives raises."""
        for _ in range(MAX_COMMANDS_A_TICK):
            try:
                data, ancillary, _, sender = self._socket.recvmsg(MAX_DATAGRAM_BYTES + 1, _ANCILLARY_BYTES)
            except OSError:
                return
            uid = _uid(ancillary)
            if uid not in self._uids:
                refusal = f"user {uid} may not command v2g-guard tick"
            elif len(data) > MAX_DATAGRAM_BYTES:
                refusal = f"more than {MAX_DATAGRAM_BYTES} bytes"
            else:
                try:
                    command = self._decoder.decode(data)
                except ValueError as error:
                    refusal = f"not understood: {error}"
                else:
                    handle(_cleaned(command), partial(self._respond, sender))
                    continue
            self._respond(sender, CommandReply(accepted=False, message=refusal))

    def close(self) -> None:
        self._socket.close()
        self._path.unlink(missing_ok=True)

    def _respond(self, sender: Any, reply: CommandReply) -> None:
        if sender:
            with contextlib.suppress(OSError):
                self._socket.sendto(msgspec.json.encode(reply), sender)


_counter = itertools.count()


def send_command(
    path: Path,
    command: CommandName,
    by: str,
    *,
    enabled: bool = True,
    evse_id: str = "",
    name: str = "",
    note: str = "",
    timeout_s: float = 3.0,
) -> CommandReply:
    """Command the ``tick`` behind ``path``; waits at most ``timeout_s`` for the answer.

    Blocks: call it in a thread from asyncio. Raises :class:`CommandError` when nobody listens or answers.
    """
    request = _cleaned(TickCommand(command=command, by=by, enabled=enabled, evse_id=evse_id, name=name, note=note))
    own = path.with_name(f".{path.name}.{os.getpid()}.{next(_counter)}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as client:
        client.settimeout(timeout_s)
        try:
            own.unlink(missing_ok=True)
            client.bind(os.fspath(own))
            # Root may ask a tick that runs as another user.
            own.chmod(0o660)
            client.sendto(msgspec.json.encode(request), os.fspath(path))
            return msgspec.json.decode(client.recv(MAX_DATAGRAM_BYTES), type=CommandReply)
        except TimeoutError as error:
            raise CommandError(f"v2g-guard tick did not answer on {path} within {timeout_s:g} s") from error
        except (OSError, ValueError) as error:
            raise CommandError(
                f"v2g-guard tick is not reachable on {path}: {error}; see systemctl status v2g-guard-tick"
            ) from error
        finally:
            own.unlink(missing_ok=True)


def _uid(ancillary: list[tuple[int, int, bytes]]) -> int | None:
    """Who sent a datagram, as the kernel says; None where it does not."""
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS and len(data) >= _UCRED.size:
            _, uid, _ = _UCRED.unpack_from(data)
            return int(uid)
    return None


def _cleaned(command: TickCommand) -> TickCommand:
    return msgspec.structs.replace(
        command,
        by=printable(command.by)[:_MAX_BY_CHARS],
        name=printable(command.name)[:_MAX_BY_CHARS],
        note=printable(command.note)[:MAX_NOTE_CHARS],
    )


def printable(text: str) -> str:
    """Without control characters."""
    return "".join(character for character in text if character.isprintable())
