"""A wire that puts a VLAN tag into every frame on its way from a simulated powerline to the host at a veth pair."""

from __future__ import annotations

from v2g.hardware.ethernet_port import DatagramPort, PacketPort

TAG = b"\x81\x00\x60\x05"
"""802.1Q: priority 3, VLAN 5."""
_ADDRESSES_BYTES = 12


class TaggedWire:
    """``powerline``: the station's socket, ``outside``: our end of the pair, ``host_mac``: of the other end.

    What the host sends goes on as it is. ``to_host``, ``from_host``: frames so far.
    """

    def __init__(self, powerline: str, outside: str, host_mac: bytes) -> None:
        self.to_host = self.from_host = 0
        self.lost: list[str] = []
        self._line = DatagramPort(powerline, host_mac)
        self._host = PacketPort(outside)

    async def start(self) -> None:
        await self._host.start(self._send_to_line, self.lost.append)
        await self._line.start(self._send_to_host, self.lost.append)

    def close(self) -> None:
        self._line.close()
        self._host.close()

    def _send_to_host(self, data: bytes) -> None:
        self._host.send(data[:_ADDRESSES_BYTES] + TAG + data[_ADDRESSES_BYTES:])
        self.to_host += 1

    def _send_to_line(self, data: bytes) -> None:
        self._line.send(data)
        self.from_host += 1
