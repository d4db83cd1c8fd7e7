"""Captures of networks (pcapng, pcap) as V2GTP frames: no input or output, fed with the bytes of a file.

::

    with open("session.pcapng", "rb") as file:
        for found in frames(iter(lambda: file.read(65_536), b"")):
            if isinstance(found, Captured) and found.frame is not None:
                print(found.unix_s, found.source, content_of(found.frame))
"""

from pyiso15118.capture.content import content_of
from pyiso15118.capture.files import CaptureError, KeyLog, Packet, PacketReader
from pyiso15118.capture.finder import Captured, FrameFinder, frames
from pyiso15118.capture.network import Host
from pyiso15118.capture.tls import Unread
from pyiso15118.capture.tls_keys import Secrets

__all__ = [
    "CaptureError",
    "Captured",
    "FrameFinder",
    "Host",
    "KeyLog",
    "Packet",
    "PacketReader",
    "Secrets",
    "Unread",
    "content_of",
    "frames",
]
