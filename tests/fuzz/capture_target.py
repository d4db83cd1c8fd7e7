"""Files of captures, of every kind of link, with TLS and its secrets in them."""

from __future__ import annotations

from functools import partial

from fuzz.checks import Sampler, require
from pyiso15118.capture import Captured, CaptureError, Unread, frames
from support.captures import Conversation, block, cooked, ethernet, pcap, pcapng, udp
from support.secured_capture import Secured, frame

PIECES = 3
"""Bytes before the capture: in pieces of which size it is read."""
MAX_BYTES = 8192


def check(sampler: Sampler, data: bytes) -> None:
    """A capture is read, or refused by CaptureError; either way the same however the file is cut."""
    if len(data) <= PIECES:
        return
    sizes, capture = [size + 1 for size in data[:PIECES]], data[PIECES:]
    if sampler.due():
        sampler.memory(partial(read, capture, sizes), len(capture), ())
    found = read(capture, sizes)
    require(found == read(capture, [len(capture)]), "what is read depends on how the file is cut")
    sampler.counts["refused" if found[1] else "accepted"] += 1


def read(capture: bytes, sizes: list[int]) -> tuple[list[Captured | Unread], str]:
    """What was found, and why no more was."""
    chunks, start, number = [], 0, 0
    while start < len(capture):
        chunks.append(capture[start : start + sizes[number % len(sizes)]])
        start, number = start + len(chunks[-1]), number + 1
    found: list[Captured | Unread] = []
    try:
        for each in frames(chunks):
            found.append(each)
    except CaptureError as error:
        return found, str(error)
    return found, ""


def seeds() -> list[bytes]:
    plain = Conversation()
    for number in range(6):
        plain.send(frame(number), from_server=number % 2 == 1, size=20, lost=number == 4)
    secured = Secured().talk(4)
    told = [udp(secured.conversation.client, secured.conversation.server, line) for line in secured.log]
    closed = secured.conversation.packets
    files = [
        pcap(plain.packets, 101),
        pcap([ethernet(packet, [5]) for packet in plain.packets], 1, order=">"),
        pcapng([cooked(packet) for packet in plain.packets], 113),
        pcapng([cooked(packet, 2) for packet in plain.packets], 276, order=">"),
        pcapng([*told, *closed], 101),
        pcapng([*closed, *told], 101),
        pcapng(closed, 101) + block(10, b"KSLT" + len(secured.key_log).to_bytes(4, "little") + secured.key_log),
        pcapng(closed, 101),
    ]
    return [b"\x07\x40\xff" + file for file in files]
