from __future__ import annotations

import pytest

from v2g.thermal.parameters import ThermalParameters, from_nameplate


@pytest.fixture
def distribution() -> ThermalParameters:
    return from_nameplate(
        cooling="DIST_ONAN", rated_kva=400.0, top_oil_rise_k=55.0, hot_spot_gradient_k=23.0, loss_ratio_r=5.0
    )
