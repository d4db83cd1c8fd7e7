"""Whether a peer on the network is the vehicle that was matched: asked for each SDP request and each connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from v2g.clock import Clock
from v2g.host.neighbours import table_mac
from v2g.orchestrator.plc_gate import UNKNOWN_MAC, PlcGate

ASKED_AGAIN_S = 2.0
"""A neighbour that did not tell its MAC address within this time after it was asked is turned away with the reason."""
_MOST_ASKED = 64

Solicit = Callable[[str, Any], None]
"""``(evse_id, peer)``: let the kernel find out its MAC address; :meth:`pyiso15118.aio.SeccServer.solicit`."""
FindMac = Callable[[str, int], str | None]
"""Of a host and the index of its interface."""


class Admission:
    """Judges by the kernel's neighbour table alone: an address itself says what its owner likes."""

    def __init__(self, gate: PlcGate, clock: Clock, find_mac: FindMac = table_mac) -> None:
        self._gate = gate
        self._clock = clock
        self._find_mac = find_mac
        self._asked: dict[tuple[str, str], float] = {}
        self.solicit: Solicit = lambda evse_id, peer: None

    def admits(self, evse_id: str, peer: Any) -> str | None:
        """Why ``peer`` (``host``, ``scope_id``) is not served; None: it is.

        Empty: not yet, while its MAC is being found out or the link is about to be up, which a vehicle knows sooner.
        """
        now_s = self._clock.monotonic_s()
        if self._gate.joins(evse_id, now_s):
            return ""
        refusal = self._gate.refusal(evse_id, self.mac(evse_id, peer), now_s)
        if refusal != UNKNOWN_MAC:
            self._asked.pop((evse_id, peer.host), None)
            return refusal
        # An SDP request is multicast: the kernel learns nothing by it.
        self.solicit(evse_id, peer)
        if len(self._asked) >= _MOST_ASKED:
            self._asked.clear()
        asked_s = self._asked.setdefault((evse_id, peer.host), now_s)
        return "" if now_s - asked_s < ASKED_AGAIN_S else refusal

    def mac(self, evse_id: str, peer: Any) -> str | None:
        """Of a peer at an EVSE where it counts; None: unknown, or it does not count."""
        if not self._gate.needs_mac(evse_id):
            return None
        return self._find_mac(str(peer.host), int(peer.scope_id))
