"""One probe of a host: a TCP connection that is opened and closed, or an ICMP echo by a datagram socket (Linux)."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from collections.abc import Callable
from typing import Final

ANSWER_S: Final = 0.9
"""Below the second after which the kernel sends a lost SYN again: so each loss is seen."""
RESOLVE_S: Final = 5.0
KEEP_ADDRESS_S: Final = 300.0
_ECHO: Final = struct.Struct("!BBHHH8s")
_KINDS: Final = {
    socket.AF_INET: (socket.IPPROTO_ICMP, 8, 0),
    socket.AF_INET6: (socket.IPPROTO_ICMPV6, 128, 129),
}
"""Protocol, echo request, echo reply."""
_NOT_THERE: Final = frozenset({
    errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.ETIMEDOUT, errno.ECONNRESET,
    errno.ECONNABORTED, errno.EADDRNOTAVAIL,
})  # fmt: skip
"""The way is broken: a probe that is lost, and nothing that a person has to configure."""


class ProbeError(Exception):
    """The probe cannot be made at all; the message says why, and the remedy."""


class Probe:
    """Of one host. ``port`` None: an echo. ``now_s``: a monotonic clock. One :meth:`run` at a time."""

    def __init__(self, host: str, port: int | None, now_s: Callable[[], float], answer_s: float = ANSWER_S) -> None:
        self._host = host
        self._port = port
        self._now_s = now_s
        self._answer_s = answer_s
        self._address: tuple[socket.AddressFamily, tuple[object, ...]] | None = None
        self._resolved_at_s = 0.0
        self._sequence = 0

    async def run(self) -> float | None:
        """Seconds until the answer, a refused connection being one; None: none in time. Raises :class:`ProbeError`."""
        family, address = await self._resolve()
        try:
            async with asyncio.timeout(self._answer_s):
                if self._port is None:
                    return await self._echo(family, address)
                return await self._connect(family, address)
        except TimeoutError:
            return None
        except OSError as error:
            if error.errno in _NOT_THERE:
                return None
            raise ProbeError(f"{self._host}: {error.strerror or error}") from None

    async def _resolve(self) -> tuple[socket.AddressFamily, tuple[object, ...]]:
        now_s = self._now_s()
        if self._address is not None and now_s - self._resolved_at_s < KEEP_ADDRESS_S:
            return self._address
        kind = socket.SOCK_DGRAM if self._port is None else socket.SOCK_STREAM
        try:
            async with asyncio.timeout(RESOLVE_S):
                found = await asyncio.get_running_loop().getaddrinfo(self._host, self._port or 0, type=kind)
        except TimeoutError:
            raise ProbeError(f"{self._host}: its name was not resolved within {RESOLVE_S:g} s") from None
        except (OSError, UnicodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise ProbeError(f"{self._host}: its name cannot be resolved ({reason}); write its address") from None
        family, _, _, _, address = found[0]
        self._address, self._resolved_at_s = (socket.AddressFamily(family), tuple(address)), now_s
        return self._address

    async def _connect(self, family: socket.AddressFamily, address: tuple[object, ...]) -> float:
        with socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as sock:
            began_s = self._now_s()
            try:
                await asyncio.get_running_loop().sock_connect(sock, address)
            except ConnectionRefusedError:
                pass
            return self._now_s() - began_s

    async def _echo(self, family: socket.AddressFamily, address: tuple[object, ...]) -> float:
        protocol, request, reply = _KINDS[family]
        try:
            sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, protocol)
        except PermissionError:
            raise ProbeError(
                f"{self._host}: an echo is not permitted: let sysctl net.ipv4.ping_group_range include group "
                f"{os.getegid()}, or probe a TCP port (host:port)"
            ) from None
        self._sequence = (self._sequence + 1) & 0xFFFF
        loop = asyncio.get_running_loop()
        with sock:
            began_s = self._now_s()
            token = struct.pack("!d", began_s)
            # The kernel fills in identifier and checksum, and hands us the answers to ours alone.
            await loop.sock_sendto(sock, _ECHO.pack(request, 0, 0, 0, self._sequence, token), address)
            while True:
                answer = await loop.sock_recv(sock, 256)
                if len(answer) < _ECHO.size:
                    continue
                kind, _, _, _, sequence, echoed = _ECHO.unpack_from(answer)
                if (kind, sequence, echoed) == (reply, self._sequence, token):
                    return self._now_s() - began_s
