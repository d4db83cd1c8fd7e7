"""What ``v2g-guard wires`` needs of an inverter's driver, beyond :class:`v2g.hardware.ports.InverterPort`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from v2g.grid.settings import GridSettings
from v2g.grid.support import SupportSettings
from v2g.hardware.ports import InverterPort

RAMP_RATE: Final = "ramp_rate"
"""Among :attr:`InverterDriver.lacks`: the device takes no such ramp rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSettings:
    """What an inverter is to hold. ``grid`` None: the site has no settings, and trips and enter service stay."""

    support: SupportSettings
    grid: GridSettings | None = None


class InverterDriver(InverterPort, Protocol):
    """One driver for one inverter, chosen by ``evse.inverter.driver``."""

    @property
    def reversion_problem(self) -> str | None:
        """Why the reversion to zero is not armed, for people; None while it is, or while it is being looked for."""

    @property
    def setpoint_problem(self) -> str | None:
        """Why no power may be ordered: what was written is not read back; None while it is."""

    @property
    def lacks(self) -> Mapping[str, str] | None:
        """Grid-support functions that the device does not do as asked, each with the reason; None: not known yet, or
        not to be written there."""

    @property
    def takes_reactive_power(self) -> bool:
        """It has a set-point in var."""

    @property
    def apparent_rating_va(self) -> float:
        """0 until it was read."""

    def configure(self, settings: DeviceSettings) -> None:
        """Other settings from the next readings on; without effect on a device that is left as it is."""
