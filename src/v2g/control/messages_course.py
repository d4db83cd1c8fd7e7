"""``thermal.course``: where the transformer's temperatures come from and where they go, as curves (role viewer)."""

from __future__ import annotations

import msgspec


class CoursePoint(msgspec.Struct, frozen=True, kw_only=True):
    """One moment of the past, °C and W (flow positive downstream, ``v2g_w`` positive charges); None: not known."""

    ago_s: float
    top_oil_c: float | None
    hot_spot_c: float | None
    load_w: float | None
    v2g_w: float | None


class AheadPoint(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a coming minute, as most likely, without margins. ``base_…``: with no V2G power; the others with the
    present one going on. ``base_w`` may be ``base_margin_w`` more, or less."""

    in_s: float
    top_oil_c: float
    hot_spot_c: float
    base_top_oil_c: float
    base_hot_spot_c: float
    base_w: float
    base_margin_w: float


class CourseResult(msgspec.Struct, frozen=True, kw_only=True):
    """Oldest first, seconds of the transformer's clock. ``ahead`` is empty where there is no forecast; ``problem`` then
    says why."""

    past: tuple[CoursePoint, ...]
    ahead: tuple[AheadPoint, ...]
    problem: str = ""
