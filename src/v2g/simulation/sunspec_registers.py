"""A chain of SunSpec models in registers from address 40000 on, as a simulated device shows it and takes writes."""

from __future__ import annotations

import abc
import threading
from collections.abc import Mapping, Sequence

from v2g.hardware.registers import Table
from v2g.hardware.sunspec.codec import END_MODEL_ID, SUNS, ModelImage

BASE_ADDRESS = 40000
_HIGHEST_INT16 = 32_767


class SunSpecRegisters(abc.ABC):
    """Implements ``DeviceImage``; a device says what it shows and what it does with a write.

    ``models``: those that it has, in the order of the chain; ``images`` may hold more.
    """

    def __init__(self, images: Mapping[int, ModelImage], models: Sequence[int], lock: threading.RLock) -> None:
        self._images = dict(images)
        self._models = tuple(models)
        self._lock = lock
        self._starts: dict[int, int] = {}
        at = len(SUNS)
        for number in self._models:
            self._starts[number] = at
            at += self._images[number].model.length
        self._length = at + 2

    def point_names(self) -> tuple[str, ...]:
        return tuple(f"{number}.{name}" for number in self._models for name in self._images[number].model.points)

    def span(self, table: Table) -> tuple[int, int]:
        return (BASE_ADDRESS, self._length) if table is Table.HOLDING else (0, 1)

    def render(self, table: Table, lies: Mapping[str, float], now_s: float) -> list[int]:
        if table is not Table.HOLDING:
            return [0]
        with self._lock:
            self._show(now_s)
        registers = list(SUNS)
        for number in self._models:
            registers.extend(self._images[number].registers)
        registers.extend((END_MODEL_ID, 0))
        for name, value in lies.items():
            number_text, _, point_name = name.partition(".")
            number = int(number_text)
            point = self._images[number].model.point(point_name)
            start = self._starts[number] + point.offset
            registers[start : start + point.size] = self._images[number].encode(point_name, value)
        return registers

    def write(self, address: int, values: list[int], now_s: float) -> bool:
        at = address - BASE_ADDRESS
        touched = self._touched(at, len(values))
        if touched is None:
            return False
        number, names = touched
        image = self._images[number]
        start = at - self._starts[number]
        before = list(image.registers)
        image.registers[start : start + len(values)] = values
        with self._lock:
            taken = self._take(number, names, now_s)
        if not taken:
            image.registers[:] = before
        return taken

    @abc.abstractmethod
    def _show(self, now_s: float) -> None:
        """Put the device's state into the images."""

    @abc.abstractmethod
    def _take(self, number: int, names: list[str], now_s: float) -> bool:
        """These points of a model were written into its image. False: refused."""

    def _writable(self, number: int, name: str) -> bool:
        return self._images[number].model.point(name).writable

    def _identify(self, model: str, serial: str) -> None:
        common = self._images[1]
        for name, text in (("Mn", "Simulated"), ("Md", model), ("Vr", "1.0"), ("SN", serial[:32])):
            common.set(name, text)
        common.set("DA", 1)

    def _touched(self, at: int, count: int) -> tuple[int, list[str]] | None:
        """Model and points that a write covers; None when it leaves one model or meets a read-only register."""
        for number in self._models:
            start, image = self._starts[number], self._images[number]
            if not start <= at < start + image.model.length:
                continue
            first, end = at - start, at - start + count
            if end > image.model.length:
                return None
            names = [p.name for p in image.model.points.values() if p.offset < end and p.offset + p.size > first]
            return (number, names) if all(self._writable(number, name) for name in names) else None
        return None


def power_exponent(rated_w: float) -> int:
    """The scale factor by which 120 % of a rating fits into an int16."""
    exponent = 0
    while rated_w * 1.2 > _HIGHEST_INT16 * 10**exponent:
        exponent += 1
    return exponent
