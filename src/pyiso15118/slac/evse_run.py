"""One vehicle's matching as an EVSE sees it: which step, what was heard, until when. Pure data and small rules."""

from __future__ import annotations

from dataclasses import dataclass, field

from pyiso15118.slac.addresses import Mac
from pyiso15118.slac.attenuation import Attenuation, averaged
from pyiso15118.slac.events import Step

Key = tuple[Mac, bytes]
"""MAC address and run ID."""


@dataclass(slots=True, kw_only=True)
class Run:
    """``due``: when what is awaited in ``step`` has to be there."""

    pev_mac: Mac
    run_id: bytes
    began: float
    due: float
    num_sounds: int
    step: Step = Step.START
    """What is awaited: ``SOUND`` from the first CM_START_ATTEN_CHAR.IND on, ``MATCH`` from the response on."""
    averaging: bool = False
    """All sounds are in; CM_ATTEN_CHAR.IND goes out when ``due``."""
    attenuation: Attenuation | None = None
    sends: int = 0
    """Of CM_ATTEN_CHAR.IND."""
    validated: bool = False
    toggles_before: int = 0
    sounds: set[int] = field(default_factory=set)
    profiles: list[tuple[int, ...]] = field(default_factory=list)
    _replayed: int = 0

    @property
    def key(self) -> Key:
        return self.pev_mac, self.run_id

    def sound(self, cnt: int) -> bool:
        """A sound was heard. False: one with this count was heard before, and its profile will not count."""
        if cnt in self.sounds or cnt >= self.num_sounds:
            self._replayed += 1
            return False
        self.sounds.add(cnt)
        return True

    def profile(self, groups: tuple[int, ...]) -> bool:
        """The modem measured a sound. False: it is not counted."""
        if self._replayed:
            self._replayed -= 1
            return False
        if len(self.profiles) >= self.num_sounds or (self.profiles and len(groups) != len(self.profiles[0])):
            return False
        self.profiles.append(groups)
        return True

    @property
    def complete(self) -> bool:
        return len(self.profiles) >= self.num_sounds

    def average(self, calibration_db: float) -> Attenuation:
        """Only with a profile."""
        self.attenuation = averaged(self.profiles, calibration_db)
        return self.attenuation

    def unheard(self, within_s: float) -> str:
        """Why there is nothing to average, for people."""
        if self.sounds:
            return f"the modem measured none of the {len(self.sounds)} sounds that were heard within {within_s:g} s"
        return f"none of {self.num_sounds} sounds was heard within {within_s:g} s"
