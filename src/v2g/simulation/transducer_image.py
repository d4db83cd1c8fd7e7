"""The site's transducers on the wire as input registers: top-oil, ambient, winding, 0.1 °C; winding stress, 0.1 MPa.

Registers 0 to 3 in that order. A sensor that is lost shows -32768, below any plausible range.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping

from v2g.hardware.ports import Quantity
from v2g.hardware.registers import RegisterType, Table, pack
from v2g.simulation.thermal_plant import TransformerPlant

ORDER = (Quantity.TOP_OIL_C, Quantity.AMBIENT_C, Quantity.WINDING_C, Quantity.WINDING_STRESS_MPA)
SCALE = 0.1
_LOST = 0x8000
_NOISE = 0.05
"""K or MPa."""


class TransducerImage:
    """Implements ``DeviceImage``. ``lost``: sensors that broke. ``gains``: so many times the truth is shown."""

    def __init__(self, transformer: TransformerPlant, lock: threading.RLock, *, seed: int = 1) -> None:
        self.lost: set[Quantity] = set()
        self.gains: dict[Quantity, float] = {}
        self._transformer = transformer
        self._lock = lock
        self._random = random.Random(seed)

    def point_names(self) -> tuple[str, ...]:
        return tuple(quantity.value for quantity in ORDER)

    def span(self, table: Table) -> tuple[int, int]:
        return (0, len(ORDER)) if table is Table.INPUT else (0, 1)

    def render(self, table: Table, lies: Mapping[str, float], now_s: float) -> list[int]:
        del now_s
        if table is not Table.INPUT:
            return [0]
        with self._lock:
            plant = self._transformer
            true = (plant.top_oil_c, plant.ambient_c, plant.hot_spot_c, plant.winding_stress_mpa)
        truth = dict(zip(ORDER, true, strict=True))
        registers: list[int] = []
        for quantity in ORDER:
            shown = truth[quantity] * self.gains.get(quantity, 1.0) + self._random.gauss(0.0, _NOISE)
            value = lies.get(quantity.value, shown)
            registers += [_LOST] if quantity in self.lost else pack(RegisterType.INT16, value / SCALE)
        return registers

    def write(self, address: int, values: list[int], now_s: float) -> bool:
        del address, values, now_s
        return False
