"""SunSpec devices in memory, for the link of the tests: fixed images, and the plant's inverter that moves."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from v2g.clock import ManualClock
from v2g.hardware.registers import Table
from v2g.hardware.sunspec.codec import END_MODEL_ID, SUNS, ModelImage, load_model
from v2g.simulation.inverter import SimInverter
from v2g.simulation.sunspec_image import SunSpecImage
from v2g.simulation.sunspec_legacy_image import LegacyImage
from v2g.simulation.sunspec_registers import SunSpecRegisters

VOLTS = (277.0, 277.0, 277.0)
_DRAFTS = """
701.VL3N 702.Vnom 702.VRefOfs 704.WMaxLimEna 704.WMaxLim 704.WMaxLimRvrt 704.WMaxLimEnaRvrt 704.WMaxLimRvrtTms
704.WMaxLimRvrtRem 704.RGra 704.WMaxLim_SF 705.CrvSt 705.VRefTms 706.CrvSt 707.CrvSt 708.CrvSt 709.CrvSt 709.Freq_SF
709.Freq 710.CrvSt 710.Freq_SF 710.Freq 711.CrvSt 711.AdptCrvReq 711.AdptCrvRslt 711.RvrtCrv 712.CrvSt 713.PrtAlrms
713.NPrt 713.DCA 713.DCW 713.DCWhInj 713.DCWhAbs 713.DCA_SF 713.DCV_SF 713.DCW_SF 713.DCWH_SF 713.PrtTyp 713.ID
713.IDStr 713.DCV 713.Tmp 713.DCSt 713.DCAlrm
"""
DRAFTS = frozenset(_DRAFTS.split())
"""Names that pysunspec2's JSON of a 1547 device has from drafts, which the published models and its image are without;
within groups without the group."""


def told(model: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Points of a model in the JSON, by the names of our codec; groups that occur once have no number."""
    for name, value in model.items():
        if isinstance(value, list):
            for number, each in enumerate(value, start=1):
                yield from told(each, f"{prefix}{name}[{number}].")
        elif isinstance(value, dict):
            yield from told(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


class Chain:
    """Fixed models from ``base`` on; every register takes writes. ``ends`` False: nothing follows the last model."""

    def __init__(self, images: Iterable[ModelImage], base: int = 40000, ends: bool = True) -> None:
        self.registers: dict[int, int] = dict(enumerate(SUNS, base))
        self.addresses: dict[int, int] = {}
        self.requests: list[tuple[int, int]] = []
        self.after_read: Callable[[int], None] = lambda number: None
        """Called with how many reads there were."""
        at = base + 2
        for image in images:
            self.addresses.setdefault(image.model.id, at)
            self.registers |= dict(enumerate(image.registers, at))
            at += image.registers[1] + 2
        if ends:
            self.registers |= {at: END_MODEL_ID, at + 1: 0}

    def read(self, table: Table, address: int, count: int) -> list[int] | None:
        assert count <= 125
        wanted = range(address, address + count)
        if table is not Table.HOLDING or not all(at in self.registers for at in wanted):
            return None
        self.requests.append((address, count))
        words = [self.registers[at] for at in wanted]
        self.after_read(len(self.requests))
        return words

    def write(self, address: int, values: list[int]) -> bool:
        self.registers |= dict(enumerate(values, address))
        return True


def wye_meter(power_w: int) -> Chain:
    """A three-phase meter with the same power in each phase."""
    image = ModelImage.blank(load_model(203))
    for name, value in (("W_SF", 0), ("W", 3 * power_w), *((f"Wph{phase}", power_w) for phase in "ABC")):
        image.set(name, value)
    return Chain([ModelImage.blank(load_model(1)), image])


class PlantInverter:
    """The plant's inverter behind the image of one family; :meth:`step` lets it move."""

    def __init__(
        self, clock: ManualClock, *, legacy: bool = False, without_models: frozenset[int] = frozenset()
    ) -> None:
        self.clock = clock
        self.inverter = SimInverter(
            rated_w=22_000.0, nominal_voltage_v=277.0, nominal_frequency_hz=60.0, enter_service_delay_s=0.0
        )
        lock = threading.RLock()
        self.image: SunSpecRegisters = (
            LegacyImage(self.inverter, "1", lock) if legacy else SunSpecImage(self.inverter, "1", lock, without_models)
        )
        self.lies: dict[str, float] = {}
        self.deaf_models: set[int] = set()
        """Writes to them are acknowledged and forgotten."""
        self.refused: set[int] = set()
        """Writes to them are answered with an exception."""
        self.writes: list[str] = []
        """By model and first point."""
        self.step(0.01)
        self.step(0.01)

    def step(self, dt_s: float = 0.2) -> None:
        self.clock.advance(dt_s)
        now_s = self.clock.monotonic_s()
        self.inverter.deliver(self.inverter.wanted_w(now_s, dt_s, VOLTS, 60.0), dt_s)

    def read(self, table: Table, address: int, count: int) -> list[int] | None:
        assert count <= 125
        first, length = self.image.span(table)
        if not first <= address <= first + length - count:
            return None
        return self.image.render(table, self.lies, self.clock.monotonic_s())[address - first :][:count]

    def write(self, address: int, values: list[int]) -> bool:
        assert len(values) <= 123
        touched = self.image._touched(address - 40000, len(values))
        assert touched is not None, f"{address} takes no writes"
        number, names = touched
        self.writes.append(f"{number}.{names[0]}")
        if number in self.deaf_models | self.refused:
            return number not in self.refused
        return self.image.write(address, values, self.clock.monotonic_s())

    def point(self, number: int, name: str) -> float | None:
        self.image.render(Table.HOLDING, {}, self.clock.monotonic_s())
        return self.image._images[number].number(name)

    def put(self, number: int, name: str, value: float | None) -> None:
        """A point that the image does not show anew by itself."""
        self.image._images[number].set(name, value)
