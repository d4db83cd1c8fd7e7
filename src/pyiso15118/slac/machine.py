"""What both machines of SLAC are made of: frames out, events out, one deadline. No input or output, no clock."""

from __future__ import annotations

import abc
from collections import Counter, deque

from pyiso15118.errors import RemoteProtocolError
from pyiso15118.slac.addresses import BROADCAST, Mac, is_group
from pyiso15118.slac.events import Event
from pyiso15118.slac.frame import Frame, decode_frame, encode_frame, is_homeplug
from pyiso15118.slac.messages import Message

MOST_WAITING = 256
"""Frames and events that an owner may leave unread; beyond, the oldest are dropped."""


class Sender:
    """The half of :class:`Outbox` that bears frames; base of :class:`~pyiso15118.slac.modem.ModemMachine`, too."""

    def __init__(self, own_mac: Mac) -> None:
        self._own_mac = own_mac
        self._frames: deque[bytes] = deque(maxlen=MOST_WAITING)

    def frames_to_send(self) -> list[bytes]:
        """Ethernet frames, in order; each is given once."""
        frames = list(self._frames)
        self._frames.clear()
        return frames

    def _send(self, message: Message, destination: Mac = BROADCAST) -> None:
        self._frames.append(encode_frame(Frame(source=self._own_mac, destination=destination, message=message)))


class Outbox(Sender, abc.ABC):
    """Base of :class:`~pyiso15118.slac.evse.EvseMachine` and :class:`~pyiso15118.slac.ev.EvMachine`.

    The owner, after every call: sends :meth:`frames_to_send`, takes :meth:`next_event` until None, and calls
    ``handle_timer(now)`` at ``next_deadline()``. What is not for the machine, or broken, is counted by reason in
    :attr:`ignored`.
    """

    def __init__(self, own_mac: Mac) -> None:
        super().__init__(own_mac)
        self.ignored: Counter[str] = Counter()
        self._events: deque[Event] = deque(maxlen=MOST_WAITING)

    def receive_frame(self, data: bytes, now: float) -> None:
        """An Ethernet frame from the interface, of whatever kind. Never raises for what a peer may send."""
        if not is_homeplug(data):
            self.ignored["not HomePlug"] += 1
            return
        try:
            frame = decode_frame(data)
        except RemoteProtocolError:
            self.ignored["malformed"] += 1
            return
        if frame.source == self._own_mac:
            self.ignored["our own"] += 1
        elif not self._addressed(frame):
            self.ignored["for another station"] += 1
        elif not self._take(frame.source, frame.message, now):
            self.ignored["not for us"] += 1

    def next_event(self) -> Event | None:
        """The oldest event not yet taken, or None."""
        return self._events.popleft() if self._events else None

    @abc.abstractmethod
    def _take(self, source: Mac, message: Message, now: float) -> bool:
        """False: nothing of ours."""

    def _addressed(self, frame: Frame) -> bool:
        """To us, or to everybody: whoever listens on a shared line hears what is for others."""
        return frame.destination == self._own_mac or is_group(frame.destination)

    def _tell(self, event: Event) -> None:
        self._events.append(event)
