"""What a light node stands for: a base load with noise, and vehicles that follow the mesh's verdict. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from random import Random

from v2g.mesh.messages import Flexible, Range
from v2g.mesh.node import Facts, Verdict
from v2g.simulation.light_config import LightModel

_CORRELATION_S = 10.0
_NOISE_AT_MOST = 3.0
"""Times the root mean square."""


@dataclass(slots=True)
class LightTransformer:
    """:meth:`step` about ten times a second."""

    model: LightModel
    random: Random
    under_w: float = 0.0
    over_w: float = 0.0
    v2g_w: float = 0.0
    _noise: float = 0.0
    _stepped_at_s: float | None = None
    _base_w: float = field(default=math.nan)

    @property
    def base_w(self) -> float:
        return self._base_w if math.isfinite(self._base_w) else self.model.base_w

    @property
    def flow_w(self) -> float:
        return self.base_w + self.v2g_w

    @property
    def want_w(self) -> float:
        model = self.model
        return model.want_charge_w if model.want_charge_w >= model.want_discharge_w else -model.want_discharge_w

    def step(self, verdict: Verdict, now_s: float) -> None:
        """Power falls at once and rises by its ramp, as a controller's does."""
        elapsed_s = 0.0 if self._stepped_at_s is None else max(0.0, now_s - self._stepped_at_s)
        self._stepped_at_s = now_s
        kept = math.exp(-elapsed_s / _CORRELATION_S)
        self._noise = kept * self._noise + math.sqrt(1.0 - kept * kept) * self.random.gauss(0.0, 1.0)
        limited = max(-_NOISE_AT_MOST, min(_NOISE_AT_MOST, self._noise))
        self._base_w = self.model.base_w + self.model.noise_w * limited
        told_base_w = self.base_w - self.under_w + self.over_w
        hi_w = max(0.0, verdict.import_w - told_base_w) if verdict.import_w > -math.inf else 0.0
        lo_w = min(0.0, -verdict.export_w - told_base_w) if verdict.export_w > -math.inf else 0.0
        target_w = max(lo_w, min(hi_w, self.want_w))
        rise_w = self.model.ramp_w_s * elapsed_s
        if target_w * self.v2g_w < 0.0:
            self.v2g_w = 0.0
        if abs(target_w) > abs(self.v2g_w) + rise_w:
            target_w = math.copysign(abs(self.v2g_w) + rise_w, target_w)
        self.v2g_w = target_w

    def facts(self) -> Facts:
        """As it tells them."""
        model, told_w = self.model, self.over_w - self.under_w
        charge_w, discharge_w = max(0.0, self.want_w), min(0.0, self.want_w)
        return Facts(
            flow_w=self.flow_w + told_w,
            base_w=self.base_w + told_w,
            want_hi_w=charge_w,
            want_lo_w=discharge_w,
            capability=Range(discharge_w, charge_w),
            ahead=Range(-model.rated_w, model.rated_w - self.base_w),
            flexible=Flexible(vehicles=model.vehicles),
        )
