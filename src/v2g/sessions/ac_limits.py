"""What an AC EVSE may offer its vehicle at parameter discovery. Pure. Powers are magnitudes of all phases together."""

from __future__ import annotations

from dataclasses import dataclass

from pyiso15118.events import AcLimits, AcPower
from v2g.dispatch.ac_vehicle import AcRatings


@dataclass(frozen=True, slots=True, kw_only=True)
class AcEvseProfile(AcRatings):
    """The configured ratings of one AC EVSE, with its name."""

    evse_id: str

    @property
    def rated(self) -> AcLimits:
        """The configured powers, within current × nominal voltage × phases; no discharge where it is not allowed.

        What the device says of itself later narrows only the set-points: the vehicle is told its ratings once.
        """
        most_w = self.max_current_a * self.nominal_voltage_v * self.phases
        discharge_w = min(self.max_discharge_w, most_w) if self.allow_discharge else 0.0
        return AcLimits(
            max_charge_power=AcPower(min(self.max_charge_w, most_w)), max_discharge_power=AcPower(discharge_w)
        )
