"""The daemon's side of signing with keys in a token: a process that signs, and what happens when it cannot."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import msgspec

from pyiso15118.security.tls_token import KeyUnavailable, Sign
from v2g.clock import Clock, SystemClock
from v2g.config.schema_pki import Token
from v2g.pki.signer_messages import LONGEST_LINE, SignAnswer, SignRequest, Start
from v2g.pki.token_access import Refusal, TokenProblem

COMMAND: Final = (sys.executable, "-m", "v2g.pki.signer_process")
ANSWER_S: Final = 4.0
"""The longest that a token may take to sign; a vehicle waits 20 s for its whole setup."""
START_S: Final = 10.0
"""The same for the first signature of a process: Python, the module and the login come before."""
AGAIN_S: Final = 1.0
"""After a failure, so long nothing is tried: vehicles that come by the dozen must not start a process each."""
_END_S: Final = 1.0

Say = Callable[[str, str], None]
"""A code and words for the log."""


class _Failed(Exception):
    def __init__(self, problem: TokenProblem, words: str) -> None:
        super().__init__(words)
        self.problem = problem


class TokenSigner:
    """Signs by one process for a module and a PIN; may be called from any thread but a loop's, for it blocks.

    What failed is said once (``TOKEN_LOST``), and again only with other words; so is that it works again
    (``TOKEN_BACK``). ``say`` is called on the thread that signs.
    """

    def __init__(self, settings: Token, say: Say, clock: Clock | None = None, command: Sequence[str] = COMMAND) -> None:
        self._settings = settings
        self._say = say
        self._clock = clock if clock is not None else SystemClock()
        self._command = tuple(command)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._refusal: Refusal | None = None
        self._problem = ""
        self._again_s: float | None = None

    @property
    def problem(self) -> str:
        """Why the last signature failed; empty while all is well."""
        return self._problem

    @property
    def pid(self) -> int | None:
        process = self._process
        return process.pid if process is not None else None

    def key(self, uri: str) -> Sign:
        """What signs with one key."""
        return partial(self.sign, uri)

    def sign(self, uri: str, digest: bytes) -> bytes:
        """In DER. Raises :class:`pyiso15118.security.tls_token.KeyUnavailable`."""
        with self._lock:
            if self._again_s is not None and self._clock.monotonic_s() < self._again_s:
                raise KeyUnavailable(self._problem)
            request = SignRequest(uri=uri, digest=digest)
            try:
                signature = self._attempt(request)
            except _Failed as error:
                self._again_s = self._clock.monotonic_s() + AGAIN_S
                words = f"our private key cannot be used: {error}"
                if words != self._problem:
                    self._problem = words
                    self._say("TOKEN_LOST", words)
                raise KeyUnavailable(words) from None
            if self._problem:
                self._problem, self._again_s = "", None
                self._say("TOKEN_BACK", f"the private key {uri} can be used again")
            return signature

    def close(self) -> None:
        """End the process; the next signature starts another."""
        with self._lock:
            self._stop()

    def _attempt(self, request: SignRequest) -> bytes:
        was_there = self._process is not None
        try:
            return self._ask(request)
        except _Failed as error:
            self._stop()
            # A token that was pulled and is back has left the old process with handles of no use.
            if not was_there or error.problem is TokenProblem.PIN:
                raise
        try:
            return self._ask(request)
        except _Failed:
            self._stop()
            raise

    def _ask(self, request: SignRequest) -> bytes:
        fresh = self._process is None
        connection = self._start() if self._socket is None else self._socket
        try:
            connection.settimeout(START_S if fresh else ANSWER_S)
            connection.sendall(msgspec.json.encode(request) + b"\n")
            answer = msgspec.json.decode(_line(connection), type=SignAnswer)
        except TimeoutError:
            limit_s = START_S if fresh else ANSWER_S
            raise _Failed(
                TokenProblem.FAILED,
                f"the token of {self._settings.module} does not answer within {limit_s:.0f} s: look at the token, its "
                "reader and its daemon (pcscd)",
            ) from None
        except (OSError, EOFError, msgspec.MsgspecError) as error:
            raise _Failed(TokenProblem.FAILED, self._ended(error)) from None
        self._refusal = answer.refusal
        if answer.problem is not None:
            raise _Failed(answer.problem, answer.words)
        return answer.signature

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                # A module may write to standard output; nobody reads that.
                self._process = subprocess.Popen(  # noqa: S603
                    [*self._command, str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                )
            except OSError as error:
                ours.close()
                raise _Failed(TokenProblem.FAILED, f"the signing process cannot be started: {error}") from None
        self._socket = ours
        start = Start(module=self._settings.module, pin_file=self._settings.pin_file, refusal=self._refusal)
        with contextlib.suppress(OSError):
            # A process that ended at once is noticed where its answer is awaited.
            ours.sendall(msgspec.json.encode(start) + b"\n")
        return ours

    def _ended(self, error: Exception) -> str:
        code: int | None = None
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = self._process.wait(_END_S)
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        return (
            f"the signing process ended ({how}) in the PKCS#11 module {self._settings.module}: look into the journal, "
            "and ask the module's maker for a newer one"
            if code is not None
            else f"the signing process cannot be spoken to: {error}"
        )

    def _stop(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        process, self._process = self._process, None
        if process is not None:
            # It holds nothing that is worth an orderly end, and may hang in the module.
            process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                # One that hangs in a driver goes when that lets it.
                process.wait(_END_S)

    def __del__(self) -> None:
        if getattr(self, "_process", None) is not None:
            with contextlib.suppress(Exception):
                self._stop()


def _line(connection: socket.socket) -> bytes:
    received = bytearray()
    while not received.endswith(b"\n"):
        if len(received) > LONGEST_LINE:
            raise OSError("its answer is too long")
        chunk = connection.recv(4096)
        if not chunk:
            raise EOFError("it has gone")
        received += chunk
    return bytes(received)
