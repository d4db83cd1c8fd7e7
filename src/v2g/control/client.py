"""The control plane's client for commands: blocking, one call at a time, no event loop."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import msgspec

from v2g import __version__
from v2g.control import messages
from v2g.control.reach import UNIT, busy, is_absent, no_answer
from v2g.control.rpc import encode_request
from v2g.control.skew import skew_words

DEFAULT_SOCKET = Path("/run/v2g/control.sock")
SIMULATION_DIR = "v2g-sim"
_MAX_ANSWER_BYTES = 16 << 20


class ControlError(Exception):
    """A call that did not succeed; ``exit_code`` is what a command ends with."""

    exit_code = 1


class DaemonNotReachable(ControlError):
    """Nobody answers at the socket, or it may not be opened; the text names it and the remedy."""

    exit_code = 3

    def __init__(self, message: str, absent: bool = False) -> None:
        """``absent``: no daemon runs there, as far as can be seen."""
        super().__init__(message)
        self.absent = absent


class CallRefused(ControlError):
    """The daemon answered with an error; ``code`` is its word for programs."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class ControlClient:
    """Connects and says hello with the first call. Not for several threads."""

    def __init__(
        self,
        path: Path,
        timeout_s: float = 10.0,
        name: str = "v2g-control",
        on_skew: Callable[[str], None] | None = None,
    ) -> None:
        """``on_skew`` gets one line where the daemon is of another version than we are."""
        self.path = path
        self.hello: messages.HelloResult | None = None
        """The daemon's answer to our hello."""
        self._timeout_s = timeout_s
        self._name = name
        self._on_skew = on_skew
        self._socket: socket.socket | None = None
        self._buffer = bytearray()
        self._id = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._buffer.clear()

    def call(self, method: str, params: messages.Params | Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The result of one call. Raises :class:`DaemonNotReachable`, :class:`CallRefused`."""
        if self._socket is None:
            self._connect()
        return self._exchange(method, {} if params is None else params)

    def notifications(self) -> Iterator[dict[str, Any]]:
        """Subscribe to the status, then yield the payload of each notification until the daemon ends the connection."""
        return (payload for _, payload in self.told(("status",)))

    def told(self, topics: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Subscribe to ``topics``, then yield topic and payload of each notification until the daemon ends the
        connection. Raises :class:`DaemonNotReachable` too where none comes for as long as an answer may take."""
        self.call("subscribe", {"topics": topics})
        while True:
            message = self._receive()
            if "method" in message:
                yield message["method"], message["params"]

    def _connect(self) -> None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(self._timeout_s)
        try:
            connection.connect(str(self.path))
        except OSError as error:
            connection.close()
            raise DaemonNotReachable(no_answer(self.path, error), is_absent(self.path, error)) from None
        self._socket = connection
        hello = messages.HelloParams(client=self._name, protocol=messages.PROTOCOL_VERSION)
        try:
            self.hello = msgspec.convert(self._exchange("hello", hello), messages.HelloResult)
        except msgspec.ValidationError as error:
            self.close()
            raise self._not_reachable(f"what answers is no v2g-orchestrator: {error}") from None
        words = skew_words(self._name, __version__, self.hello.server, self.hello.version)
        if words and self._on_skew is not None:
            self._on_skew(words)

    def _exchange(self, method: str, params: Any) -> dict[str, Any]:
        assert self._socket is not None  # noqa: S101 (call() connected)
        self._id += 1
        try:
            self._socket.sendall(encode_request(self._id, method, params))
        except OSError as error:
            # A refusal to talk at all (too many clients) is already there to be read.
            if not isinstance(error, BrokenPipeError | ConnectionResetError):
                self.close()
                raise self._not_reachable(error.strerror or str(error)) from None
        while True:
            answer = self._receive()
            if "error" in answer and answer.get("id") in (self._id, None):
                error_body = answer["error"]
                data = error_body.get("data") or {}
                raise CallRefused(str(error_body.get("message", "")), str(data.get("code", error_body.get("code", ""))))
            if answer.get("id") == self._id and isinstance(answer.get("result"), dict):
                result: dict[str, Any] = answer["result"]
                return result

    def _receive(self) -> dict[str, Any]:
        assert self._socket is not None  # noqa: S101
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > _MAX_ANSWER_BYTES:
                self.close()
                raise self._not_reachable(f"it sent a line of more than {_MAX_ANSWER_BYTES >> 20} MiB")
            try:
                piece = self._socket.recv(1 << 16)
            except TimeoutError:
                self.close()
                raise DaemonNotReachable(busy(self.path, f"gives no answer within {self._timeout_s:g} s")) from None
            except OSError as error:
                self.close()
                raise self._not_reachable(error.strerror or str(error)) from None
            if not piece:
                self.close()
                raise self._not_reachable("it ended the connection")
            self._buffer += piece
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        try:
            answer = msgspec.json.decode(line, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.close()
            raise self._not_reachable("it sent something that is no JSON-RPC") from None
        return answer

    def _not_reachable(self, reason: str) -> DaemonNotReachable:
        return DaemonNotReachable(
            f"the daemon does not answer at {self.path} ({reason}). Is it running? systemctl status {UNIT}, "
            f"journalctl -u {UNIT} -n 50; or, to try things out: {UNIT} --simulate"
        )


def find_socket(environ: Mapping[str, str] | None = None, default: Path = DEFAULT_SOCKET) -> Path:
    """``$V2G_SOCKET``, else the daemon's socket, else that of a simulation of this user (which stderr then says)."""
    env = os.environ if environ is None else environ
    if named := env.get("V2G_SOCKET"):
        return Path(named)
    # Path.exists raises where the directory may not be entered.
    if os.path.exists(default):  # noqa: PTH110
        return default
    for directory in simulation_dirs(env):
        candidate = directory / "control.sock"
        try:
            if directory.lstat().st_uid == os.getuid() and candidate.exists():
                print(f"(talking to the simulation at {candidate})", file=sys.stderr)
                return candidate
        except OSError:
            continue
    return default


def simulation_dirs(environ: Mapping[str, str] | None = None) -> tuple[Path, ...]:
    """Where a simulation of this user runs by default, the first choice first."""
    env = os.environ if environ is None else environ
    fallback = Path(f"/tmp/{SIMULATION_DIR}-{os.getuid()}")  # noqa: S108 (its owner is checked)
    runtime = env.get("XDG_RUNTIME_DIR")
    return (Path(runtime) / SIMULATION_DIR, fallback) if runtime else (fallback,)
