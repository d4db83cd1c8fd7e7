"""What both machines of SLAC are made of: frames out, events out, one deadline. No input or output, no clock."""

from __future__ import annotations

from collections import deque

from pyiso15118.slac.addresses import BROADCAST, Mac, is_group
from pyiso15118.slac.events import Event
from pyiso15118.slac.frame import Frame, encode_frame
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

    def _addressed(self, frame: Frame) -> bool:
        """To us, or to everybody: whoever listens on a shared line hears what is for others."""
        return frame.destination == self._own_mac or is_group(frame.destination)

    def _send(self, message: Message, destination: Mac = BROADCAST) -> None:
        self._frames.append(encode_frame(Frame(source=self._own_mac, destination=destination, message=message)))


class Outbox(Sender):
    """Base of :class:`~pyiso15118.slac.evse.EvseMachine` and :class:`~pyiso15118.slac.ev.EvMachine`.

    The owner, after every call: sends :meth:`frames_to_send`, takes :meth:`next_event` until None, and calls
    ``handle_timer(now)`` at ``next_deadline()``.
    """

    def __init__(self, own_mac: Mac) -> None:
        super().__init__(own_mac)
        self._events: deque[Event] = deque(maxlen=MOST_WAITING)

    def next_event(self) -> Event | None:
        return self._events.popleft() if self._events else None

    def _tell(self, event: Event) -> None:
        self._events.append(event)
