"""The control plane's server: JSON-RPC 2.0 on a Unix socket, roles by Unix group, one audit line a call."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from v2g import __version__
from v2g.clock import Clock
from v2g.control import messages
from v2g.control.audit_words import clipped, compact
from v2g.control.connection import Connection, Pace, Paces
from v2g.control.endpoint import Endpoint, EndpointError
from v2g.control.messages_topics import SubscribeParams
from v2g.control.roles import Caller, Lookup, Role, RoleGroups, group_names, peer, role_of, system_lookup
from v2g.control.rpc import (
    ErrorCode,
    Request,
    RpcError,
    encode_error,
    encode_notification,
    encode_result,
    parse_request,
)

__all__ = ["Caller", "ControlServer", "EndpointError", "Method", "Refused", "Role"]

MAX_CLIENTS = 32
MAX_CLIENTS_OF_ONE_USER = 16
RESERVED_CLIENTS = 8
"""Of ``MAX_CLIENTS``, for those who may do more than look. Root and the daemon's user have as many on top."""
MAX_UNKNOWN = 64
"""Connections whose role is being looked up, besides: viewers who come again and again take nobody's place."""
HELLO_TIMEOUT_S = 10.0
IDLE_TIMEOUT_S = 120.0
"""A connection that asks for nothing and is not subscribed ends after this."""
HANDLER_TIMEOUT_S = 30.0
LOOKUP_TIMEOUT_S = 5.0
_MAX_AUDITED = 500
_MAX_AUDITED_REFUSED = 200
_MAX_AUDITED_NAME = 64
_UNFINISHED = frozenset({ErrorCode.INTERNAL_ERROR, ErrorCode.TOO_SLOW})
"""It may have been done all the same."""

P = TypeVar("P", bound=messages.Params)


class Refused(Exception):
    """Raised by a handler that will not do what was asked; the text is for the caller, ``code`` a literal for grep."""

    def __init__(self, message: str, code: str = "REFUSED") -> None:
        super().__init__(message)
        self.message = message
        self.code = code


@dataclass(frozen=True, slots=True)
class Method(Generic[P]):
    """A method, the least role that may call it, its parameters, and who answers. ``reads``: it changes nothing,
    although viewers may not call it."""

    name: str
    role: Role
    params: type[P]
    handler: Callable[[P, Caller], Awaitable[Any]]
    reads: bool = False

    @property
    def changes(self) -> bool:
        return self.role > Role.VIEWER and not self.reads


class ControlServer:
    """Serves ``methods`` on ``path``; ``hello`` and ``subscribe`` are its own.

    ``audit`` is called as ``audit(code, message, **fields)`` once a call: ``CALL``, ``REFUSED`` or ``FAILED``. Calls
    that changed something, or may have, are always told; of refused and viewers' calls each user has a bounded number
    of lines, and the next line says how many were left out.
    A connection has one call under way at a time; further lines wait in the socket. ``caught_up`` is awaited before
    each handler, with the monotonic time of the last call that changed something: what handlers answer from is of now
    then, and knows of that change. ``lookup`` and ``own_uid`` tell whose groups count.
    """

    def __init__(
        self,
        path: Path,
        methods: Sequence[Method[Any]],
        roles: RoleGroups,
        audit: Callable[..., None],
        clock: Clock,
        *,
        simulation: bool = False,
        caught_up: Callable[[float], Awaitable[None]] | None = None,
        lookup: Lookup = system_lookup,
        own_uid: int | None = None,
    ) -> None:
        own: tuple[Method[Any], ...] = (
            Method("hello", Role.VIEWER, messages.HelloParams, self._hello),
            Method("subscribe", Role.VIEWER, SubscribeParams, self._subscribe),
        )
        self._methods: dict[str, Method[Any]] = {method.name: method for method in (*own, *methods)}
        if len(self._methods) != len(own) + len(methods):
            raise ValueError("two methods of the control server have the same name")
        self.path = path
        self.remarks: tuple[str, ...] = ()
        """After :meth:`start`: what does not hold the server up, but somebody should know."""
        self._roles = roles
        self._audit = audit
        self._clock = clock
        self._simulation = simulation
        self._caught_up = caught_up
        self._changed_at_s = clock.monotonic_s()
        self._lookup = lookup
        self._own_uid = os.getuid() if own_uid is None else own_uid
        self._endpoint = Endpoint(path)
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], tuple[int, Connection]] = {}
        self._viewers: set[asyncio.Task[None]] = set()
        self._unknown: set[asyncio.Task[None]] = set()
        self._lookups: dict[int, asyncio.Future[tuple[str, frozenset[str]]]] = {}
        self._paces = Paces(clock)

    async def start(self) -> None:
        """Open the socket. Raises :class:`EndpointError` where another orchestrator has it."""
        listener, remarks = self._endpoint.open(group_names(self._roles).values())
        self.remarks = tuple(remarks)
        self._server = await asyncio.start_unix_server(self._connected, sock=listener, limit=Connection.READ_LIMIT)

    async def close(self) -> None:
        """Stop listening, end all connections, remove the socket file."""
        if self._server is not None:
            self._server.close()
            self._server = None
        tasks = list(self._connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._endpoint.close()

    @property
    def subscribers(self) -> int:
        """Connections that asked for notifications; with none, building a payload is vain."""
        return sum(bool(connection.topics) for _, connection in self._connections.values())

    def is_wanted(self, topic: str) -> bool:
        """Somebody has subscribed to it."""
        return any(topic in connection.topics for _, connection in self._connections.values())

    def broadcast(self, topic: str, payload: Any) -> None:
        """Send a notification to all subscribers of ``topic``; one that does not read is dropped."""
        if not self.is_wanted(topic):
            return
        line = encode_notification(topic, payload)
        for _, connection in self._connections.values():
            if topic in connection.topics:
                connection.notify(line)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            pid, uid, gid = peer(writer.get_extra_info("socket"))
        except OSError:
            writer.transport.abort()
            return
        pace = self._paces.of(uid)
        connection = Connection(reader, writer, pace)
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 (asyncio runs this as a task)
        try:
            if self._full(uid):
                await self._turn_away(connection)
                return
            self._connections[task] = (uid, connection)
            self._unknown.add(task)
            caller = await self._identify(pid, uid, gid)
            if not self._has_place(caller):
                del self._connections[task]
                await self._turn_away(connection)
                return
            self._unknown.discard(task)
            if caller.role <= Role.VIEWER:
                self._viewers.add(task)
            await self._converse(connection, caller, pace)
            await connection.finish()
        except (OSError, TimeoutError):
            pass  # the peer has gone or does not read; there is nobody to tell
        finally:
            self._connections.pop(task, None)
            self._viewers.discard(task)
            self._unknown.discard(task)
            connection.abort()

    def _full(self, uid: int) -> bool:
        of_user = sum(other == uid for other, _ in self._connections.values())
        if uid in (0, self._own_uid):
            return of_user >= MAX_CLIENTS + RESERVED_CLIENTS
        return len(self._unknown) >= MAX_UNKNOWN or of_user >= MAX_CLIENTS_OF_ONE_USER

    def _has_place(self, caller: Caller) -> bool:
        known = len(self._connections.keys() - self._unknown)
        if caller.uid in (0, self._own_uid):
            return known < MAX_CLIENTS + RESERVED_CLIENTS
        viewers_full = len(self._viewers) >= MAX_CLIENTS - RESERVED_CLIENTS
        return known < MAX_CLIENTS and not (caller.role <= Role.VIEWER and viewers_full)

    @staticmethod
    async def _turn_away(connection: Connection) -> None:
        reason = (
            f"too many clients (at most {MAX_CLIENTS}, {MAX_CLIENTS_OF_ONE_USER} of one user, "
            f"{MAX_CLIENTS - RESERVED_CLIENTS} of viewers); close some"
        )
        connection.notify(encode_error(RpcError(ErrorCode.TOO_MANY_CLIENTS, reason)))
        await connection.finish()

    async def _identify(self, pid: int, uid: int, gid: int) -> Caller:
        # A user database on the network may take its time: the control cycle must not wait for it, and one user who
        # comes again and again must not keep every thread busy.
        lookup = self._lookups.get(uid)
        if lookup is None:
            lookup = self._lookups[uid] = asyncio.ensure_future(asyncio.to_thread(self._lookup, uid))
            lookup.add_done_callback(lambda done: self._looked_up(uid, done))
        try:
            user, member_of = await asyncio.wait_for(asyncio.shield(lookup), LOOKUP_TIMEOUT_S)
        except (TimeoutError, OSError):
            self._looked_up(uid, lookup)
            user, member_of = f"uid {uid}", frozenset()
        return Caller(uid, gid, pid, user, role_of(uid, member_of, self._roles, self._own_uid))

    def _looked_up(self, uid: int, lookup: asyncio.Future[tuple[str, frozenset[str]]]) -> None:
        if self._lookups.get(uid) is lookup:
            del self._lookups[uid]
        if lookup.done() and not lookup.cancelled():
            lookup.exception()

    async def _converse(self, connection: Connection, caller: Caller, pace: Pace) -> None:
        while True:
            idle_s = IDLE_TIMEOUT_S if connection.greeted else HELLO_TIMEOUT_S
            try:
                line = await connection.read_line(None if connection.topics else idle_s)
                if line is None:
                    return
                answer = await self._answer(line, connection, caller, pace)
            except RpcError as error:
                self._note(caller, pace, None, 0.0, error=error)
                await connection.send(encode_error(error))
                return
            await connection.send(answer)
            if connection.rejected:
                return

    async def _answer(self, line: bytes, connection: Connection, caller: Caller, pace: Pace) -> bytes:
        began_s = self._clock.monotonic_s()
        request: Request | None = None
        try:
            request = parse_request(line)
            result = await self._call(request, connection, caller, pace)
            answer = encode_result(request.id, result)
        except RpcError as error:
            self._note(caller, pace, request, self._clock.monotonic_s() - began_s, error=error)
            return encode_error(error, None if request is None else request.id)
        except asyncio.CancelledError:
            # A change that was begun is carried to its end without us.
            cut_off = RpcError(ErrorCode.INTERNAL_ERROR, "the daemon stopped before it was answered", "CUT_OFF")
            self._note(caller, pace, request, self._clock.monotonic_s() - began_s, error=cut_off)
            raise
        self._note(caller, pace, request, self._clock.monotonic_s() - began_s, result=result)
        return answer

    @property
    def methods(self) -> tuple[Method[Any], ...]:
        """All, those of the server itself too."""
        return tuple(self._methods.values())

    async def _call(self, request: Request, connection: Connection, caller: Caller, pace: Pace) -> Any:
        if not connection.greeted and request.method != "hello":
            raise RpcError(ErrorCode.HELLO_FIRST, "begin with 'hello': {client, protocol}")
        method = self._methods.get(request.method)
        if method is None:
            known = ", ".join(sorted(self._methods))
            raise RpcError(ErrorCode.METHOD_NOT_FOUND, f"there is no method {request.method[:64]!r}; there are {known}")
        self._permit(method, caller)
        try:
            params = msgspec.convert(request.params, method.params)
        except msgspec.ValidationError as error:
            raise RpcError(ErrorCode.INVALID_PARAMS, f"{method.name}: {error}") from None
        if isinstance(params, messages.HelloParams):
            self._greet(params, connection)
        if method.changes and (delay_s := pace.change_delay_s()) > 0:
            await asyncio.sleep(delay_s)
        if self._caught_up is not None:
            await self._caught_up(self._changed_at_s)
        try:
            result = await asyncio.wait_for(method.handler(params, caller), HANDLER_TIMEOUT_S)
        except Refused as refused:
            raise RpcError(ErrorCode.REFUSED, refused.message, refused.code) from None
        except TimeoutError:
            raise RpcError(ErrorCode.TOO_SLOW, f"{method.name} took longer than {HANDLER_TIMEOUT_S:g} s") from None
        except Exception as error:
            context = {"message": f"control method {method.name} failed", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)
            text = f"{method.name} failed inside the daemon ({type(error).__name__}); its log tells more"
            raise RpcError(ErrorCode.INTERNAL_ERROR, text) from error
        finally:
            if method.changes:
                self._changed_at_s = self._clock.monotonic_s()
        if isinstance(params, SubscribeParams):
            connection.topics = frozenset(params.topics)
        return result

    def _permit(self, method: Method[Any], caller: Caller) -> None:
        if caller.role >= method.role:
            return
        names = [name for role, name in group_names(self._roles).items() if role >= method.role]
        has = caller.role.name.lower()
        text = f"{method.name} needs the role {method.role.name.lower()} or a higher one; {caller.user} has {has}"
        raise RpcError(ErrorCode.FORBIDDEN, f"{text}: become a member of {' or '.join(names) or 'a role group'}")

    def _greet(self, params: messages.HelloParams, connection: Connection) -> None:
        if params.protocol != messages.PROTOCOL_VERSION:
            connection.rejected = True
            raise RpcError(
                ErrorCode.WRONG_PROTOCOL,
                f"this daemon (version {__version__}) speaks control protocol {messages.PROTOCOL_VERSION}, the client "
                f"{params.protocol}: use the commands of the daemon's version, or restart the daemon after an update",
            )
        connection.greeted = True

    async def _hello(self, params: messages.HelloParams, caller: Caller) -> messages.HelloResult:
        return messages.HelloResult(
            server="v2g-orchestrator",
            version=__version__,
            protocol=messages.PROTOCOL_VERSION,
            role=caller.role.name.lower(),
            simulation=self._simulation,
        )

    async def _subscribe(self, params: SubscribeParams, caller: Caller) -> dict[str, Any]:
        return {}

    def _note(
        self,
        caller: Caller,
        pace: Pace,
        request: Request | None,
        duration_s: float,
        *,
        result: Any = None,
        error: RpcError | None = None,
    ) -> None:
        method = self._methods.get(request.method) if request is not None else None
        looks_only = method is None or not method.changes
        code = "CALL" if error is None else "FAILED" if error.code in _UNFINISHED else "REFUSED"
        # What its handler refused may have been done in part, and has the pace of changes.
        handled = error is None or error.code in _UNFINISHED or error.code is ErrorCode.REFUSED
        left_out = pace.admit_line(changes_something=handled and not looks_only)
        if left_out is None:
            return
        limit = _MAX_AUDITED if code == "CALL" else _MAX_AUDITED_REFUSED
        fields: dict[str, object] = {
            "uid": caller.uid,
            "user": caller.user,
            "pid": caller.pid,
            "role": caller.role.name.lower(),
            "method": clipped(request.method, _MAX_AUDITED_NAME) if request is not None else "",
            "params": compact(request.params, limit) if request is not None else "",
        }
        if error is not None:
            fields |= {"error": error.word, "reason": clipped(error.message, limit)}
        else:
            # What viewers read is long and changes nothing.
            fields["result"] = "ok" if looks_only else compact(result, limit)
        fields["duration_ms"] = round(duration_s * 1e3, 1)
        if left_out:
            fields["left_out_before"] = left_out
        self._audit(code, "", **fields)
