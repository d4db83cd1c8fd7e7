"""``python -m v2g.pki.signer_process``: signs with keys in a token for the process that started it.

A module of a token's maker is foreign code with a state of its own: here it can hang, crash or lose its token without
the daemon's sessions. The PIN is read here and is in no other process. At the first failure this process says why and
ends; what it knew of the token goes with it. It also ends with the process that it works for.
"""

from __future__ import annotations

import signal
import socket
import sys
from typing import Any

import msgspec

from v2g.host.coredump import forbid
from v2g.pki.model import PkiError
from v2g.pki.pin import pin_source
from v2g.pki.pkcs11_uri import Pkcs11Uri, UriError, parse
from v2g.pki.signer_messages import LONGEST_LINE, SignAnswer, SignRequest, Start
from v2g.pki.token_access import (
    PinMemory,
    TokenError,
    TokenProblem,
    describe_token,
    find_key,
    find_token,
    load_module,
    open_session,
    sign_digest,
)


class Signing:
    """Keeps a session with each token, and each key that was asked for."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self.memory = PinMemory(start.refusal)
        self._sessions: dict[Pkcs11Uri, Any] = {}
        self._keys: dict[str, tuple[Any, str]] = {}

    def sign(self, request: SignRequest) -> bytes:
        """Raises :class:`PkiError`."""
        if request.uri not in self._keys:
            self._keys[request.uri] = self._key(request.uri)
        key, name = self._keys[request.uri]
        return sign_digest(key, name, request.digest)

    def _key(self, text: str) -> tuple[Any, str]:
        try:
            uri = parse(text)
        except UriError as error:
            raise TokenError(TokenProblem.KEY, f"the key's URI cannot be used: {error}") from None
        of_token = uri.of_token()
        if of_token not in self._sessions:
            source = pin_source(self._start.pin_file)
            token = find_token(load_module(self._start.module), of_token)
            self._sessions[of_token] = open_session(token, source, self.memory)
        opened = self._sessions[of_token]
        return find_key(opened, uri), describe_token(opened.token)


def serve(connection: socket.socket) -> None:
    """Answer until the other side goes or something fails."""
    with connection.makefile("rb") as lines:
        first = lines.readline(LONGEST_LINE)
        if not first:
            return
        signing = Signing(msgspec.json.decode(first, type=Start))
        while line := lines.readline(LONGEST_LINE):
            answer = _answer(signing, msgspec.json.decode(line, type=SignRequest))
            connection.sendall(msgspec.json.encode(answer) + b"\n")
            if answer.problem is not None:
                return


def _answer(signing: Signing, request: SignRequest) -> SignAnswer:
    try:
        return SignAnswer(signature=signing.sign(request))
    except TokenError as error:
        problem = error.problem
        words = str(error)
    except PkiError as error:
        problem, words = TokenProblem.PIN, str(error)
    return SignAnswer(problem=problem, words=words, refusal=signing.memory.refusal)


def main() -> int:
    forbid()
    # Of a terminal's group: whoever works for the daemon ends when the daemon does.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(fileno=int(sys.argv[1])) as connection:
        serve(connection)
    return 0


if __name__ == "__main__":
    sys.exit(main())
