"""Somebody on the powerline who is not the matched vehicle: asks for the SECC and knocks at its port.

``python plc_stranger.py INTERFACE SECC_ADDRESS SECC_PORT``; one JSON object on standard output.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys

from pyiso15118.aio import NetworkError, discover

ATTEMPTS = 8


async def main(interface: str, host: str, port: int) -> dict[str, object]:
    try:
        found = await discover(interface, attempts=ATTEMPTS)
        answered = str(found.address)
    except NetworkError as error:
        answered = ""
        said = str(error)
    else:
        said = ""
    return {"sdp": answered, "said": said, "tcp": await asyncio.to_thread(knock, interface, host, port)}


def knock(interface: str, host: str, port: int) -> str:
    """``open``: the connection stays; else how it ended."""
    address = (host, port, 0, socket.if_nametoindex(interface))
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as connection:
        connection.settimeout(2.0)
        try:
            connection.connect(address)
            connection.settimeout(1.0)
            return "closed" if connection.recv(1) == b"" else "answered"
        except TimeoutError as error:
            return "open" if connection.gettimeout() == 1.0 else f"silent: {error}"
        except OSError as error:
            return f"refused: {error.strerror or error}"


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))))
