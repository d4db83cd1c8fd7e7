"""An inverter that left service by itself, behind the closed breaker, and comes back. Pure."""

from __future__ import annotations

import math


class OwnReturn:
    """Enter service of one inverter that the guard does not see: it judges the site, at the breaker.

    An inverter that trips by its own protection while the permit stands waits the site's enter-service delay once it
    says again that it is connected. When the permit is withdrawn meanwhile, the whole site enters service anew, this
    inverter with it, and there is nothing to wait for in addition.
    """

    __slots__ = ("_back_at_s", "_left", "_with_site")

    def __init__(self) -> None:
        self._left = False
        self._with_site = False
        """The disconnection is, or has become, the site's."""
        self._back_at_s = -math.inf

    def permit(self, permitted: bool) -> None:
        """What the guard says now; after every reading, and whenever it changes."""
        if not permitted:
            self._left, self._with_site, self._back_at_s = False, True, -math.inf

    def observe(self, as_of_s: float, connected: bool) -> None:
        """One reading of the inverter."""
        if not connected:
            self._left = not self._with_site
            return
        if self._left:
            self._back_at_s = as_of_s
        self._left = self._with_site = False

    def until_s(self, delay_s: float) -> float:
        """No power before; minus infinity when it need not wait."""
        return self._back_at_s + delay_s
