"""A transformer of 250 kVA whose state is followed through time."""

from __future__ import annotations

from v2g.thermal.estimator import Estimator
from v2g.thermal.kept import Kept
from v2g.thermal.model import steady_state
from v2g.thermal.parameters import from_nameplate
from v2g.thermal.sensed import Estimated, EstimatorSettings, Sensed

PARAMS = from_nameplate(
    cooling="DIST_ONAN", rated_kva=250.0, top_oil_rise_k=55.0, hot_spot_gradient_k=23.0, loss_ratio_r=5.0
)
SETTINGS = EstimatorSettings(params=PARAMS)


class Follow:
    """One estimator in time; :meth:`run` repeats the same inputs in steps of ``dt``."""

    def __init__(self, kept: Kept | None = None, unix_s: float = 0.0, config: EstimatorSettings = SETTINGS) -> None:
        self.estimator = Estimator(config, kept, unix_s)
        self.now = 100.0
        self.last: Estimated | None = None

    def run(
        self,
        seconds: float,
        k: float | None = 0.32,
        top_oil_c: float | None = None,
        ambient_c: float | None = 25.0,
        dt: float = 1.0,
        winding_c: float | None = None,
        f_hl: float | None = None,
    ) -> Estimated:
        sensed = Sensed(k_pu=k, ambient_c=ambient_c, top_oil_c=top_oil_c, winding_c=winding_c, f_hl=f_hl)
        for _ in range(max(1, round(seconds / dt))):
            self.now += dt
            self.last = self.estimator.step(sensed, self.now)
        assert self.last is not None
        return self.last

    def hours(self, h: float, k: float | None, top_oil_c: float | None, ambient_c: float | None = 25.0) -> Estimated:
        return self.run(h * 3600.0, k, top_oil_c, ambient_c, dt=10.0)


def oil(k: float, ambient_c: float = 25.0) -> float:
    return steady_state(PARAMS, k, ambient_c).theta_o_c


def kept(**changes: float) -> Kept:
    values: dict[str, float] = {
        "unix_s": 1e9,
        "theta_o_c": 88.0,
        "h1_k": 25.0,
        "h2_k": 0.0,
        "bias_k": 3.0,
        "gradient_factor": 1.1,
        "k_pu": 1.1,
        "ambient_c": 30.0,
    }
    return Kept(**(values | changes))
