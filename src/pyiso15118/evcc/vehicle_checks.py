"""What an owner says of its vehicle is refused when it cannot be."""

from __future__ import annotations

from pyiso15118.checks import (
    check_ac_limits,
    check_ac_power,
    check_finite,
    check_integers,
    check_limits,
    check_needs,
    check_optional,
)
from pyiso15118.commands import UpdateDcVehicle, VehicleState
from pyiso15118.der import check_state
from pyiso15118.errors import LocalProtocolError


def check_vehicle(command: VehicleState) -> None:
    """Raises :class:`LocalProtocolError` naming the value that cannot be."""
    what = type(command).__name__
    check_needs(command.needs, f"{what}.needs")
    check_optional(what, battery_capacity_wh=command.battery_capacity_wh)
    check_integers(what, 100, present_soc_pct=command.present_soc_pct)
    if isinstance(command, UpdateDcVehicle):
        check_limits(command.limits, f"{what}.limits")
        check_finite(what, present_voltage_v=command.present_voltage_v, target_voltage_v=command.target_voltage_v)
        check_optional(what, target_current_a=command.target_current_a)
    else:
        check_ac_limits(command.limits, f"{what}.limits")
        for name in ("present_active_power", "present_reactive_power"):
            power = getattr(command, name)
            if power is None:
                raise LocalProtocolError(f"{what}: {name} is None, must be AcPower")
            check_ac_power(f"{what}: {name}", power)
        if command.der is not None:
            check_state(command.der, f"{what}.der")
    if command.energy_offer is not None:
        command.energy_offer.to_message(f"{what}.energy_offer")
