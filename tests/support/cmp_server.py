"""``openssl cmp -port``: a CMP server that nobody here wrote. A mock: it returns the certificate that it is given.

It checks the protection of requests (a shared secret, or signatures by chains to ``trusted``), their proof of
possession and confirmations; it signs nothing, compares the request with nothing, and speaks plain HTTP.
"""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass
class CmpServer:
    port: int
    log_path: Path

    @property
    def url(self) -> str:
        """The mock takes no path but its root."""
        return f"http://127.0.0.1:{self.port}/pkix/"

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")


@contextmanager
def mock_server(folder: Path, *arguments: str | Path) -> Iterator[CmpServer]:
    log = folder / f"cmp-server-{time.monotonic_ns()}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["openssl", "cmp", "-config", "", "-port", "0", *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        for _ in range(500):
            if found := re.search(r"ACCEPT \S*:(\d+) ", log.read_text(errors="replace")):
                break
            if process.poll() is not None:
                raise AssertionError(f"the CMP server ended: {log.read_text(errors='replace')}")
            time.sleep(0.01)
        else:
            raise AssertionError(f"the CMP server does not listen: {log.read_text(errors='replace')}")
        yield CmpServer(int(found[1]), log)
    finally:
        process.kill()
        process.wait(5)


@contextmanager
def tcp_server(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """Every connection to ``serve``, in a thread of its own."""
    listener = socket.create_server(("127.0.0.1", 0))

    def handle(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            serve(connection)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=handle, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@contextmanager
def behind_tls(port: int, chain: Path, key: Path) -> Iterator[int]:
    """A port that speaks TLS and hands everything on to ``port``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)

    def copy(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def serve(connection: socket.socket) -> None:
        with (
            context.wrap_socket(connection, server_side=True) as secured,
            socket.create_connection(("127.0.0.1", port)) as plain,
        ):
            back = threading.Thread(target=copy, args=(plain, secured), daemon=True)
            back.start()
            copy(secured, plain)
            back.join(10)

    with tcp_server(serve) as secure_port:
        yield secure_port
