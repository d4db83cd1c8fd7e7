"""The wire of a mesh as the rest of it sees it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

OnMessage = Callable[[str, bytes], None]
"""``(key, payload)``, in the event loop's thread."""


class EngineError(Exception):
    """The wire cannot be had: a certificate, an address, a setting. The message names it and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkStatus:
    """A link to a neighbour. ``node``: by its certificate, or as it is configured while it is down."""

    node: str
    address: str
    up: bool
    since_s: float | None = None
    """Monotonic: up, or down, since; None: never up."""


@dataclass(slots=True)
class EngineCounts:
    """Since the start. ``dropped``: received faster than they were taken; ``unsent``: not accepted by the wire."""

    received: int = 0
    received_bytes: int = 0
    sent: int = 0
    sent_bytes: int = 0
    dropped: int = 0
    unsent: int = 0


class Engine(Protocol):
    """Many to many, best effort: a message may be lost, late or doubled; who sent it is for its signature to say."""

    counts: EngineCounts

    async def start(self, keys: tuple[str, ...], on_message: OnMessage) -> None:
        """Join, and hear what is published under ``keys`` (``**`` at the end matches all below). Raises
        :class:`EngineError`."""

    async def renew(self) -> None:
        """Say again what is listened to: a wire may have forgotten it. Never raises."""

    async def close(self) -> None: ...

    def publish(self, key: str, payload: bytes) -> None:
        """Never waits, never raises; what cannot be sent now is lost and counted."""

    def links(self) -> tuple[LinkStatus, ...]: ...

    def alive(self) -> frozenset[str]:
        """Nodes whose liveliness token is there: seen without any message of theirs."""
