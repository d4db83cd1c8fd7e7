"""An engineer's leave to load beyond normal cyclic loading, for a stated time. Pure.

It ends by itself: by the monotonic clock, and across a restart by Unix time, since the monotonic clock starts anew
with each boot. A Unix clock that went back meanwhile says nothing about how long that took: the leave is dropped.
"""

from __future__ import annotations

from math import isfinite

import msgspec

from v2g.thermal.limits import LONGEST_AUTHORISATION_S, Regime


class AuthorisationError(ValueError):
    """A leave that nobody can give. The message names what is wrong, and the range."""


class KeptAuthorisation(msgspec.Struct, frozen=True, kw_only=True):
    """What survives a restart."""

    regime: Regime
    by: str
    kept_unix_s: float
    until_unix_s: float


class Authorisation:
    """At most one, the newest. All times monotonic seconds, but for those that say ``unix``."""

    def __init__(self) -> None:
        self._regime = Regime.NORMAL_CYCLIC
        self._by = ""
        self._given_s = 0.0
        self._until_s = 0.0

    def authorise(self, regime: Regime, by: str, duration_s: float, now_s: float) -> None:
        """Takes the place of the one before. Normal cyclic loading ends it; ``duration_s`` is then ignored.

        Raises :class:`AuthorisationError` for a duration that is not above zero, or longer than
        :data:`~v2g.thermal.limits.LONGEST_AUTHORISATION_S`; then the one before stands.
        """
        if regime is not Regime.NORMAL_CYCLIC:
            longest_s = LONGEST_AUTHORISATION_S[regime]
            if not 0.0 < duration_s <= longest_s:
                raise AuthorisationError(
                    f"{duration_s:g} s of {regime.value} cannot be authorised: give more than 0 and at most "
                    f"{_in_words(longest_s)}"
                )
        self._regime, self._by = regime, by
        self._given_s, self._until_s = now_s, now_s + duration_s

    def regime(self, now_s: float) -> Regime:
        """In force at ``now_s``."""
        if self._regime is not Regime.NORMAL_CYCLIC and not self._given_s <= now_s < self._until_s:
            self._regime = Regime.NORMAL_CYCLIC
        return self._regime

    def left_s(self, now_s: float) -> float | None:
        """How long it still holds; None in normal cyclic loading."""
        return None if self.regime(now_s) is Regime.NORMAL_CYCLIC else self._until_s - now_s

    def by(self, now_s: float) -> str:
        """Who gave it; empty in normal cyclic loading."""
        return "" if self.regime(now_s) is Regime.NORMAL_CYCLIC else self._by

    def kept(self, now_s: float, now_unix_s: float) -> KeptAuthorisation | None:
        """To be stored at every change, and by the minute; None in normal cyclic loading."""
        left_s = self.left_s(now_s)
        if left_s is None:
            return None
        return KeptAuthorisation(
            regime=self._regime, by=self._by, kept_unix_s=now_unix_s, until_unix_s=now_unix_s + left_s
        )

    def recall(self, kept: KeptAuthorisation, now_s: float, now_unix_s: float) -> str:
        """Go on with what another run kept. Why it was dropped, in words; empty where it holds or is over."""
        left_s = kept.until_unix_s - now_unix_s
        if kept.regime is Regime.NORMAL_CYCLIC or left_s <= 0.0:
            return ""
        if not kept.kept_unix_s <= now_unix_s or not isfinite(left_s):
            return (
                f"the authorisation of {kept.regime.value} by {kept.by} is dropped: the clock went back since it was "
                "kept; set the clock, and authorise it again where it is still needed"
            )
        try:
            self.authorise(kept.regime, kept.by, left_s, now_s)
        except AuthorisationError as error:
            return f"the kept authorisation of {kept.regime.value} by {kept.by} is dropped: {error}"
        return ""


def _in_words(seconds: float) -> str:
    return f"{seconds / 86_400.0:g} days" if seconds >= 86_400.0 else f"{seconds / 60.0:g} min"
