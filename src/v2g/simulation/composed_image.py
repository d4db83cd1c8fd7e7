"""A device that shows several register images on one connection, such as an inverter and its harmonic filter."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from itertools import pairwise

from v2g.hardware.register_map import Block, Point, RegisterImage, load_map
from v2g.hardware.registers import Table
from v2g.simulation.modbus_device import DeviceImage
from v2g.simulation.switching import Bridge

FILTER_MAP = "v2g-filter"


class ComposedImage:
    """Implements ``DeviceImage``: images whose holding registers lie apart. Between them the registers read 0.

    The input registers are those of the first image.
    """

    def __init__(self, *images: DeviceImage) -> None:
        """Raises ValueError for images that overlap."""
        self._images = images
        self._first = images[0]
        ends = sorted(image.span(Table.HOLDING) for image in images)
        for (first, count), (following, _) in pairwise(ends):
            if first + count > following:
                raise ValueError(f"holding registers {following}..{first + count - 1} are shown twice")
        self._begin = ends[0][0]
        self._length = ends[-1][0] + ends[-1][1] - self._begin

    def point_names(self) -> tuple[str, ...]:
        return tuple(name for image in self._images for name in image.point_names())

    def span(self, table: Table) -> tuple[int, int]:
        return (self._begin, self._length) if table is Table.HOLDING else self._first.span(table)

    def render(self, table: Table, lies: Mapping[str, float], now_s: float) -> list[int]:
        if table is not Table.HOLDING:
            return self._first.render(table, _of(self._first, lies), now_s)
        registers = [0] * self._length
        for image in self._images:
            first, count = image.span(Table.HOLDING)
            at = first - self._begin
            registers[at : at + count] = image.render(table, _of(image, lies), now_s)
        return registers

    def write(self, address: int, values: list[int], now_s: float) -> bool:
        for image in self._images:
            first, count = image.span(Table.HOLDING)
            if first <= address and address + len(values) <= first + count:
                return image.write(address, values, now_s)
        return False


class FilterImage:
    """Implements ``DeviceImage`` for the carrier frequency and the temperature of one :class:`Bridge`."""

    def __init__(self, bridge: Bridge, lock: threading.RLock) -> None:
        self._bridge = bridge
        self._lock = lock
        self.map = load_map(FILTER_MAP)
        self._image = RegisterImage(self.map)
        self._image.stamp_identity()
        self._carrier = _block(self.map.points["carrier_hz"])
        spans = [(i.address, i.type.words) for i in self.map.identity]
        spans += [(p.address, p.type.words) for p in self.map.points.values()]
        self._begin = min(address for address, _ in spans)
        self._length = max(address + words for address, words in spans) - self._begin

    def point_names(self) -> tuple[str, ...]:
        return tuple(self.map.points)

    def span(self, table: Table) -> tuple[int, int]:
        return (self._begin, self._length) if table is Table.HOLDING else (0, 1)

    def render(self, table: Table, lies: Mapping[str, float], now_s: float) -> list[int]:
        del now_s
        if table is not Table.HOLDING:
            return [0]
        with self._lock:
            shown = {"switch_temperature_c": self._bridge.temperature_c, "carrier_hz": self._bridge.carrier_hz}
        for role, value in {**shown, **lies}.items():
            self._image.set(role, value)
        return list(self._image.registers(Block(Table.HOLDING, self._begin, self._length)))

    def write(self, address: int, values: list[int], now_s: float) -> bool:
        del now_s
        if (address, len(values)) != (self._carrier.address, self._carrier.count):
            return False
        self._image.load(self._carrier, values)
        with self._lock:
            return self._bridge.set_carrier(self._image.number("carrier_hz"))


def _block(point: Point) -> Block:
    return Block(point.table, point.address, point.type.words)


def _of(image: DeviceImage, lies: Mapping[str, float]) -> dict[str, float]:
    names = set(image.point_names()) if lies else set()
    return {name: value for name, value in lies.items() if name in names}
