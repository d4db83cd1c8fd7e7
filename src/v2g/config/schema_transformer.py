"""The section ``transformer``: nameplate, thermal constants and limits."""

from __future__ import annotations

import enum
from typing import Annotated

from msgspec import Meta

from v2g.config.schema_base import Positive
from v2g.config.schema_base import Section as _Section


class Cooling(enum.StrEnum):
    """Cooling classes of IEC 60076-7 with their thermal constants."""

    DIST_ONAN = "DIST_ONAN"
    ONAN_RESTRICTED = "ONAN_RESTRICTED"
    ONAN = "ONAN"
    ONAF_RESTRICTED = "ONAF_RESTRICTED"
    ONAF = "ONAF"
    OF_RESTRICTED = "OF_RESTRICTED"
    OF = "OF"
    OD = "OD"


class ThermalConstants(_Section, frozen=True, kw_only=True):
    """A transformer's own constants where a heat run or a calibration gave them; the cooling mode's for the others."""

    x: Positive | None = None
    """Oil exponent."""
    y: Positive | None = None
    """Winding exponent."""
    k11: Positive | None = None
    """Share of the oil's time constant."""
    k21: Positive | None = None
    """How far the hot spot overshoots."""
    k22: Positive | None = None
    """How fast that overshoot decays."""
    tau_o_min: Positive | None = None
    """Oil time constant."""
    tau_w_min: Positive | None = None
    """Winding time constant."""


class Tap(_Section, frozen=True, kw_only=True):
    """Present tap and the loss ratio at an end of the range; ``loss_ratio_r`` is the principal tap's."""

    position: int
    """The present tap."""
    principal: int
    """The principal tap."""
    end: int
    """The end of the range on the side of ``position``."""
    r_at_end: Positive
    """Loss ratio at ``end``."""


class ColdOil(_Section, frozen=True, kw_only=True):
    """Load limit with cold oil (:class:`v2g.thermal.limits.ColdOil`, with its source)."""

    full_load_above_c: Annotated[float, Meta(ge=-60, le=40)] = -20.0
    """Top-oil temperature from which the load is not limited for cold."""
    ramp_k: Annotated[float, Meta(ge=0.1, le=60)] = 10.0
    """So much below it, and colder, ``k_pu`` holds; linear between."""
    k_pu: Annotated[float, Meta(ge=0, le=1.5)] = 0.5
    """Load factor with cold oil; 0: no V2G power."""


class Ageing(_Section, frozen=True, kw_only=True):
    upgraded_paper: bool = False
    """Thermally upgraded paper ages at 110 °C as other paper does at 98 °C."""
    budget_h_per_day: Annotated[float, Meta(gt=0, le=2400)] | None = None
    """Loss of life that V2G may lead to in a day, hours at rated ageing; None: no limit but the temperatures."""
    insulation_life_h: Annotated[float, Meta(ge=1000)] = 180_000.0
    """What "life used" is a share of: 20.55 years, IEEE C57.91 normal insulation life."""


class Transformer(_Section, frozen=True, kw_only=True):
    """Nameplate and limits; ``top_oil_rise_k``, ``hot_spot_gradient_k`` and ``loss_ratio_r`` at rated load."""

    id: str
    """Of the nameplate; for people and the history."""
    rated_kva: Positive
    """Of the nameplate."""
    cooling: Cooling = Cooling.DIST_ONAN
    """Cooling class, by which IEC 60076-7 has the thermal constants."""
    top_oil_rise_k: Positive = 55.0
    """Of the top oil above ambient air at rated load, from the heat-run test."""
    hot_spot_gradient_k: Positive = 23.0
    """Hot spot above top oil at rated load."""
    hot_spot_gradient_doubt: Annotated[float, Meta(ge=0, le=0.5)] = 0.1
    """Share by which it may be steeper, counted while no winding sensor is believed."""
    loss_ratio_r: Positive = 5.0
    """Load losses over no-load losses at rated load, at the principal tap."""
    constants: ThermalConstants = ThermalConstants()
    """Its own, where a heat run or a calibration gave them."""
    tap: Tap | None = None
    """None: it stands at the principal tap."""
    eddy_share: Annotated[float, Meta(ge=0, le=1)] = 0.1
    """P_EC-R of IEEE C57.110: eddy losses over I²R losses in the winding at rated current."""
    hot_spot_limit_c: Positive | None = None
    """Of normal cyclic loading; None: IEC 60076-7's for the size, 120 °C."""
    top_oil_limit_c: Positive | None = None
    """Likewise; None: 105 °C."""
    k_limit_pu: Positive | None = None
    """Of normal cyclic loading; None: IEC 60076-7's for the size, 120 °C, 105 °C and 1.5 (1.3 above 100 MVA)."""
    cold_oil: ColdOil = ColdOil()
    """Less load while the oil is cold."""
    ageing: Ageing = Ageing()
    """Of the winding's insulation."""
    ambient_fallback_c: Annotated[float, Meta(ge=-40, le=85)] = 40.0
    """Used, and said, when the ambient transducer is lost."""
