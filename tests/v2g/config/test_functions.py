"""The functions section becomes settings of the grid-support functions."""

from __future__ import annotations

import msgspec

from v2g.config.functions import support_settings
from v2g.config.schema import Functions
from v2g.grid.support import ConstantPowerFactor, FrequencyDroop, SupportSettings, VoltVar, VoltWatt, WattVar


def test_the_defaults_are_droop_alone() -> None:
    assert support_settings(Functions()) == SupportSettings()


def test_what_is_stated_is_taken_and_the_rest_is_the_standards() -> None:
    stated = msgspec.convert(
        {
            "frequency_droop": {"k_of": 0.03, "response_s": 2},
            "volt_var": {"enabled": True, "response_s": 20},
            "volt_watt": {"enabled": True, "points": [[1.05, 1.0], [1.09, 0.0]]},
        },
        Functions,
    )
    assert support_settings(stated) == SupportSettings(
        frequency_droop=FrequencyDroop(k_of=0.03, response_s=2.0),
        volt_var=VoltVar(response_s=20.0),
        volt_watt=VoltWatt(points=((1.05, 1.0), (1.09, 0.0))),
    )


def test_what_is_off_is_none() -> None:
    stated = msgspec.convert(
        {
            "frequency_droop": {"enabled": False},
            "watt_var": {"enabled": True},
            "volt_watt": {"points": [[1.05, 1.0], [1.09, 0.0]]},
            "constant_pf": {"enabled": True, "power_factor": 0.95, "over_excited": False},
        },
        Functions,
    )
    assert support_settings(stated) == SupportSettings(
        frequency_droop=None,
        watt_var=WattVar(),
        constant_pf=ConstantPowerFactor(power_factor=0.95, over_excited=False),
    )
