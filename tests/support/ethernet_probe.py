"""A packet port between the ends of a veth pair, in the network namespace this runs in; prints JSON of what it saw."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

from pyiso15118.slac.frame import ETHERTYPE
from v2g.hardware.ethernet_port import PacketPort, PortError

OURS, THEIRS = bytes.fromhex("02000000000a"), bytes.fromhex("02000000000b")
BODY = b"\x01\x00\xa0" + bytes(43)
KIND = ETHERTYPE.to_bytes(2, "big")
FRAMES = {
    "plain": OURS + THEIRS + KIND + BODY,
    "tagged": b"\xff" * 6 + THEIRS + b"\x81\x00\x20\x05" + KIND + BODY,
    "priority": OURS + THEIRS + b"\x81\x00\xe0\x00" + KIND + BODY,
    "other kind": OURS + THEIRS + b"\x08\x00" + BODY,
}


def ip(*words: str) -> None:
    subprocess.run(("ip", *words), check=True)


def open_raw(interface: str, kind: int) -> socket.socket:
    found = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(kind))
    found.bind((interface, kind))
    found.settimeout(1.0)
    return found


async def main() -> dict[str, Any]:
    ip(
        "link",
        "add",
        "v2ga",
        "address",
        OURS.hex(":"),
        "type",
        "veth",
        "peer",
        "name",
        "v2gb",
        "address",
        THEIRS.hex(":"),
    )
    for name in ("lo", "v2ga", "v2gb"):
        ip("link", "set", name, "up")
    seen: dict[str, Any] = {"sent": {name: data.hex() for name, data in FRAMES.items()}}
    frames: list[bytes] = []
    lost: list[str] = []
    port = PacketPort("v2ga")
    await port.start(frames.append, lost.append)
    seen["mac"] = port.mac.hex(":")
    other = open_raw("v2gb", ETHERTYPE)
    for name, data in FRAMES.items():
        frames.clear()
        other.send(data)
        await asyncio.sleep(0.1)
        seen[name] = [frame.hex() for frame in frames]
    frames.clear()
    port.send(THEIRS + OURS + KIND + BODY)
    await asyncio.sleep(0.1)
    seen["own"] = [frame.hex() for frame in frames]
    seen["arrived at the other end"] = other.recv(2000) == THEIRS + OURS + KIND + BODY
    seen["flood"] = await flood(port, frames, other)
    ip("link", "set", "v2ga", "down")
    await wait(lost)
    seen["down"] = lost.pop()
    seen["start while down"] = await refusal(port)
    ip("link", "set", "v2ga", "up")
    await asyncio.sleep(0.1)
    frames.clear()
    await port.start(frames.append, lost.append)
    other.send(FRAMES["plain"])
    await asyncio.sleep(0.1)
    seen["after up"] = len(frames)
    ip("link", "del", "v2ga")
    await wait(lost)
    seen["gone"] = lost.pop()
    seen["loopback"] = await refusal(PacketPort("lo"))
    return seen


async def flood(port: PacketPort, frames: list[bytes], other: socket.socket) -> dict[str, int]:
    frames.clear()
    before, most, last = port.counters.received, 0, 0
    for _ in range(20_000):
        other.send(FRAMES["plain"])
    deadline = time.monotonic() + 2.0
    while time.monotonic() < deadline:
        await asyncio.sleep(0)
        most, last = max(most, len(frames) - last), len(frames)
    return {"received": port.counters.received - before, "dropped": port.count_drops(), "most in a turn": most}


async def refusal(port: PacketPort) -> str:
    try:
        await port.start(lambda data: None, lambda reason: None)
    except PortError as error:
        return str(error)
    return ""


async def wait(lost: list[str]) -> None:
    async with asyncio.timeout(5.0):
        while not lost:
            await asyncio.sleep(0.01)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main())))
