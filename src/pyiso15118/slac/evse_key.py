"""The key of one EVSE's network: made, put into the modem, given to one vehicle, made anew."""

from __future__ import annotations

from collections.abc import Callable

from pyiso15118.slac.events import SetKey
from pyiso15118.slac.keys import new_nmk, nid_of


class NetworkKey:
    """``random`` gives as many bytes as asked for. ``retry_s``: until a key that was refused is followed by another."""

    def __init__(self, random: Callable[[int], bytes], retry_s: float) -> None:
        self.nid = b""
        self.nmk = b""
        self.wanted = False
        """The modem is there."""
        self.set = False
        """The modem has it."""
        self.given = False
        """A vehicle has it, or had: it is not given again."""
        self.due: float | None = None
        """When another one follows the one that was refused."""
        self._random = random
        self._retry_s = retry_s

    def renew(self) -> SetKey:
        self.nmk = new_nmk(self._random)
        self.nid = nid_of(self.nmk)
        self.set = self.given = False
        self.due = None
        return SetKey(nid=self.nid, nmk=self.nmk)

    def taken(self) -> bool:
        """The modem has it. False: that is no news."""
        if not self.wanted or self.set:
            return False
        self.set, self.due = True, None
        return True

    def refused(self, now: float) -> bool:
        """The modem has refused it. False: another one was asked for meanwhile, or none."""
        if not self.wanted or self.set:
            return False
        self.due = now + self._retry_s
        return True

    def no_modem(self) -> None:
        self.wanted = self.set = False
        self.due = None
