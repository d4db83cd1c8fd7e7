"""Why power is denied, in words."""

from __future__ import annotations

from typing import Any

import pytest

from v2g.clock import ManualClock
from v2g.orchestrator.denial import denial_words, denial_words_at, granted_in_s
from v2g.orchestrator.local_time import SiteZone
from v2g.orchestrator.thermal_clock import ThermalClock
from v2g.thermal.limits import AGEING, COLD_OIL, CURRENT, HOT_SPOT, TOP_OIL, UNKNOWN, ThermalLimits
from v2g.thermal.view import ThermalView

LIMITS = ThermalLimits(hot_spot_c=120.0, top_oil_c=105.0, k_pu=1.5)


def view(**changes: Any) -> ThermalView:
    fields: dict[str, Any] = {
        "lo_w": 0.0, "hi_w": 0.0, "top_oil_c": 95.0, "hot_spot_c": 112.0, "ahead_top_oil_c": 96.0,
        "ahead_hot_spot_c": 115.0, "k_pu": 1.1, "limits": LIMITS, "lo_binds_in_s": 900.0, "hi_binds_in_s": 240.0,
    }  # fmt: skip
    return ThermalView(**(fields | changes))


@pytest.mark.parametrize(
    ("source", "changes", "words"),
    [
        (
            TOP_OIL,
            {"top_oil_c": 108.2, "lo_granted_in_s": 1480.0},
            "top-oil 108.2 °C is above its limit of 105 °C; may be granted in about 25 min (18:25)",
        ),
        (
            HOT_SPOT,
            {"ahead_hot_spot_c": 123.0, "lo_granted_in_s": 60.0},
            "hot-spot 112.0 °C is forecast to reach 123.0 °C, above its limit of 120 °C; "
            "may be granted in about 1 min (18:25)",
        ),
        (
            HOT_SPOT,
            {"base_source": HOT_SPOT, "lo_w": -80e3},
            "hot-spot 112.0 °C is forecast to pass its limit of 120 °C in 15 min by base load alone; "
            "discharge up to 80.00 kW is permitted now",
        ),
        (
            HOT_SPOT,
            {"lo_w": -12e3},
            "hot-spot 112.0 °C would reach its limit of 120 °C in 15 min; discharge up to 12.00 kW is permitted now",
        ),
        (
            TOP_OIL,
            {"top_oil_c": 101.0, "margin_k": 5.0},
            "top-oil 101.0 °C with a margin of 5.0 K is above its limit of 105 °C; "
            "not to be granted within a day, as things go",
        ),
        (
            f"{HOT_SPOT}, held",
            {"lo_w": -12e3},
            "hot-spot 112.0 °C would reach its limit of 120 °C in 15 min; the limit was narrowed and widens slowly; "
            "discharge up to 12.00 kW is permitted now",
        ),
        (
            CURRENT,
            {"lo_w": -12e3},
            "more would take the load beyond its limit of K = 1.5 (K = 1.10 now); "
            "discharge up to 12.00 kW is permitted now",
        ),
        (
            CURRENT,
            {"base_source": CURRENT, "lo_granted_in_s": 9000.0},
            "base load alone takes the load beyond its limit of K = 1.5 (K = 1.10 now); "
            "may be granted in about 2 h 30 min (18:25)",
        ),
        (
            COLD_OIL,
            {"top_oil_c": -25.0, "lo_w": -12e3, "limits": ThermalLimits(hot_spot_c=120.0, top_oil_c=105.0, k_pu=0.75)},
            "cold oil of -25.0 °C limits the load to K = 0.75 until it warms; "
            "discharge up to 12.00 kW is permitted now",
        ),
        (
            AGEING,
            {"lo_granted_in_s": 600.0, "limits": ThermalLimits(hot_spot_c=98.0, top_oil_c=105.0, k_pu=1.5)},
            "hot-spot 112.0 °C is above its limit of 98 °C, which is what today's ageing budget leaves; "
            "may be granted in about 10 min (18:25)",
        ),
        (
            UNKNOWN,
            {},
            "the transformer's thermal state is not known (implausible temperatures or loads): no power until it is; "
            "see v2g-tool thermal",
        ),
        (
            "thermal: top-oil was never measured",
            {},
            "the transformer's thermal state is not known (top-oil was never measured): no power until it is; "
            "see v2g-tool thermal",
        ),
        (
            f"{HOT_SPOT} expired",
            {},
            "the thermal model's last word is too old: no power until it works again; see daemon.log",
        ),
        ("vehicle", {}, ""),
    ],
)
def test_a_denied_discharge_names_temperature_limit_and_when(source: str, changes: dict[str, Any], words: str) -> None:
    assert denial_words(source, view(**changes), granted_at="18:25") == words


def test_a_denied_charge_looks_at_the_other_end() -> None:
    seen = view(hi_w=0.0, lo_w=-50e3, hi_granted_in_s=300.0, lo_granted_in_s=None)
    assert granted_in_s(seen, discharge=False) == 300.0
    assert denial_words(HOT_SPOT, seen, discharge=False) == (
        "hot-spot 112.0 °C would reach its limit of 120 °C in 4 min; may be granted in about 5 min"
    )
    assert denial_words(HOT_SPOT, view(hi_w=7e3), discharge=False).endswith("charge up to 7.00 kW is permitted now")


def test_the_time_of_day_counts_from_now() -> None:
    seen = view(top_oil_c=108.2, lo_granted_in_s=1500.0)
    clock = ThermalClock(ManualClock(unix_s=1_700_000_000.0), SiteZone("UTC"))
    words = denial_words_at(TOP_OIL, seen, clock, 1000.0)
    assert words.endswith("; may be granted in about 25 min (22:38)")
    assert denial_words_at(TOP_OIL, view(lo_w=-9e3), clock, 1000.0).endswith(
        "; discharge up to 9.00 kW is permitted now"
    )


def test_what_is_not_known_is_left_out() -> None:
    seen = view(hot_spot_c=None, k_pu=None, limits=None, lo_binds_in_s=None)
    assert denial_words(HOT_SPOT, seen) == "hot-spot would reach its limit"
    assert denial_words(CURRENT, seen) == "more would take the load beyond its limit"
    assert denial_words(COLD_OIL, view(top_oil_c=None, limits=None)) == "cold oil limits the load until it warms"
    assert denial_words("thermal anything", seen) == "limited by thermal anything"
