"""One look at a firewall from a network namespace: ``python -m support.firewall_probe WHAT ...``; a word on stdout."""

from __future__ import annotations

import asyncio
import selectors
import socket
import sys
import time

from pyiso15118.aio import discover
from pyiso15118.aio.network import NetworkError

OPEN, REFUSED, SILENT = "open", "refused", "silent"
WAIT_S = 1.5
SDP_REQUEST = bytes.fromhex("01fe9000000000020000")


def connect(host: str, port: str, source: str = "") -> str:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    address = socket.getaddrinfo(host, int(port), family, socket.SOCK_STREAM)[0][4]
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(WAIT_S)
        if source:
            client.bind((source, 0))
        try:
            client.connect(address)
        except ConnectionRefusedError:
            return REFUSED
        except OSError:
            return SILENT
        return OPEN


def many(host: str, port: str, count: str) -> str:
    """How many connections one after the other are open at once in the end."""
    address = socket.getaddrinfo(host, int(port), socket.AF_INET6, socket.SOCK_STREAM)[0][4]
    clients = [socket.socket(socket.AF_INET6, socket.SOCK_STREAM) for _ in range(int(count))]
    for client in clients:
        client.setblocking(False)
        client.connect_ex(address)
        time.sleep(0.3)
    time.sleep(1.0)
    return str(sum(client.connect_ex(address) in (0, 106) for client in clients))


def discovered(interface: str) -> str:
    try:
        asyncio.run(discover(interface, attempts=4))
    except NetworkError:
        return SILENT
    return OPEN


def serve(*places: str) -> str:
    """Echoes on each ``host:port`` until it is killed."""
    ready = selectors.DefaultSelector()
    for place in places:
        host, _, port = place.rpartition(":")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        server = socket.create_server((host, int(port)), family=family)
        ready.register(server, selectors.EVENT_READ, server)
    print("ready", flush=True)
    while True:
        for key, _ in ready.select():
            if key.data is not None:
                client, _ = key.data.accept()
                ready.register(client, selectors.EVENT_READ, None)
            else:
                _echo(ready, key.fileobj)


def _echo(ready: selectors.BaseSelector, client: socket.socket) -> None:
    try:
        data = client.recv(4096)
        if data:
            client.sendall(data)
            return
    except OSError:
        pass
    ready.unregister(client)
    client.close()


def hold(host: str, port: str, seconds: str, source: str = "") -> str:
    """An echo every 50 ms over one connection; the longest wait for one, in s, or ``cut``."""
    worst_s = 0.0
    source_address = (source, 0) if source else None
    with socket.create_connection((host, int(port)), WAIT_S, source_address) as client:
        print("held", flush=True)
        until = time.monotonic() + float(seconds)
        while time.monotonic() < until:
            began = time.monotonic()
            try:
                client.sendall(b"x")
                if client.recv(16) != b"x":
                    return "cut"
            except OSError:
                return "cut"
            worst_s = max(worst_s, time.monotonic() - began)
            time.sleep(0.05)
    return f"{worst_s:.3f}"


def ask(host: str, port: str, interface: str, seconds: str) -> str:
    """SDP requests by unicast from one socket, every 0.2 s; whether the last was answered."""
    seen = SILENT
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
        client.settimeout(0.2)
        until = time.monotonic() + float(seconds)
        while time.monotonic() < until:
            client.sendto(SDP_REQUEST, (host, int(port), 0, socket.if_nametoindex(interface)))
            try:
                client.recv(64)
                seen = OPEN
                print("held", flush=True)
            except TimeoutError:
                seen = SILENT
            time.sleep(0.2)
    return seen


if __name__ == "__main__":
    what, *words = sys.argv[1:]
    print(
        {"connect": connect, "many": many, "sdp": discovered, "serve": serve, "hold": hold, "ask": ask}[what](*words),
        flush=True,
    )
