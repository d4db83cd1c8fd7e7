"""One temperature sensor, judged: what may be believed of it. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Health(enum.StrEnum):
    """``NEVER_SEEN``: no reading since the start. The last four are not believed, or not as they are."""

    OK = "ok"
    NEVER_SEEN = "never seen"
    LOST = "lost"
    IMPLAUSIBLE = "implausible"
    """Outside of what can be (range, or physically impossible beside the model)."""
    JUMPED = "jumped"
    """Moved faster than oil or air can; believed again when it stays, and agrees with physics, for a while."""
    STUCK = "stuck"
    """The same value while what it measures must have moved."""
    DRIFTING = "drifting"
    """Departs from the model as sensors do, not as wrong parameters do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorReport:
    """``value``: believed, or None. ``read``: what it said, or None. ``words``: what is wrong, and the remedy."""

    health: Health
    value: float | None
    read: float | None
    since_s: float
    """When it came into this health, on the caller's clock."""
    words: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorNature:
    """What a quantity can do. Temperatures in °C, rates in K/s."""

    name: str
    """As people read it: ``top-oil``."""
    low_c: float
    high_c: float
    fastest_k_s: float
    """Faster than this is a jump of the sensor, once ``noise_k`` is allowed for."""
    noise_k: float
    stuck_after_k: float | None
    """The model moved this far while the reading did not change at all; None: a steady value is no sign (ambient)."""
    believed_again_s: float
    """A jump that stays for so long, and moves plausibly meanwhile, is taken as the new truth."""


class SensorWatch:
    """Follows one sensor. :meth:`judge` at every step."""

    def __init__(self, nature: SensorNature) -> None:
        raise NotImplementedError

    def judge(self, read_c: float | None, expected_c: float | None, now_s: float) -> SensorReport:
        """``read_c``: the newest fresh reading; ``expected_c``: the model's, None where nothing is expected.

        Whether a jump up is dangerous is the caller's affair (:mod:`v2g.thermal.estimator` takes the hotter).
        """
        raise NotImplementedError
