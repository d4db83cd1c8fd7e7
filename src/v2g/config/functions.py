"""``functions`` of the configuration as :class:`v2g.grid.support.SupportSettings`."""

from __future__ import annotations

from typing import Any

from v2g.config.schema import Curve, Functions
from v2g.grid.support import ConstantPowerFactor, FrequencyDroop, SupportSettings, VoltVar, VoltWatt, WattVar


def support_settings(functions: Functions) -> SupportSettings:
    """What is enabled, with the standard's default for what is left out. Ranges: :func:`v2g.grid.support.check`."""
    droop, factor = functions.frequency_droop, functions.constant_pf
    return SupportSettings(
        frequency_droop=FrequencyDroop(
            db_of_hz=droop.db_of_hz,
            db_uf_hz=droop.db_uf_hz,
            k_of=droop.k_of,
            k_uf=droop.k_uf,
            response_s=droop.response_s,
        )
        if droop.enabled
        else None,
        volt_var=VoltVar(**_stated(functions.volt_var)) if functions.volt_var.enabled else None,
        volt_watt=VoltWatt(**_stated(functions.volt_watt)) if functions.volt_watt.enabled else None,
        watt_var=WattVar(**_points(functions.watt_var)) if functions.watt_var.enabled else None,
        constant_pf=ConstantPowerFactor(power_factor=factor.power_factor, over_excited=factor.over_excited)
        if factor.enabled
        else None,
    )


def _points(curve: Curve) -> dict[str, Any]:
    return {} if curve.points is None else {"points": curve.points}


def _stated(curve: Curve) -> dict[str, Any]:
    response = {} if curve.response_s is None else {"response_s": curve.response_s}
    return _points(curve) | response
