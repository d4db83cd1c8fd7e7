"""The site's transducers on the wire: top-oil, ambient and winding temperature as input registers, 0.1 °C.

Registers 0, 1, 2 in that order. A sensor that is lost shows -32768, below any plausible range.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping

from v2g.hardware.ports import Quantity
from v2g.hardware.registers import RegisterType, Table, pack
from v2g.simulation.thermal_plant import TransformerPlant

ORDER = (Quantity.TOP_OIL_C, Quantity.AMBIENT_C, Quantity.WINDING_C)
SCALE = 0.1
_LOST = 0x8000
_NOISE_K = 0.05


class TransducerImage:
    """Implements ``DeviceImage``. ``lost`` names sensors that broke."""

    def __init__(self, transformer: TransformerPlant, lock: threading.RLock, *, seed: int = 1) -> None:
        self.lost: set[Quantity] = set()
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
            truth = dict(zip(ORDER, (plant.top_oil_c, plant.ambient_c, plant.hot_spot_c), strict=True))
        registers: list[int] = []
        for quantity in ORDER:
            value_c = lies.get(quantity.value, truth[quantity] + self._random.gauss(0.0, _NOISE_K))
            registers += [_LOST] if quantity in self.lost else pack(RegisterType.INT16, value_c / SCALE)
        return registers

    def write(self, address: int, values: list[int], now_s: float) -> bool:
        del address, values, now_s
        return False
