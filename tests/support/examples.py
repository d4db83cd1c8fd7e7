"""How often a property is tried: a part of its examples in the run that is for every change, all in the long one."""

from __future__ import annotations

from hypothesis import settings

_SHARE = 0.2
_LEAST = 8
_USUAL = 100
_all = False


def examples(count: int) -> int:
    """For ``max_examples``, where a test names its own."""
    return count if _all else min(count, max(_LEAST, round(_SHARE * count)))


def choose(*, every: bool) -> None:
    """Before anything is collected."""
    global _all
    _all = every
    settings.register_profile("v2g", max_examples=examples(_USUAL), deadline=None)
    settings.load_profile("v2g")
