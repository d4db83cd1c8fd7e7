"""A meter by SunSpec models 201 to 204, or 211 to 214, which have the same points as floats.

The models do not say which direction of power is positive, and makers differ: the sign is the caller's. Powers are by
the meter's own phases A, B, C; where the meter does not tell them, or tells them so that they mean nothing, its total
is shared among its phases, and the reading says so.
"""

from __future__ import annotations

from dataclasses import dataclass

from v2g.clock import Clock
from v2g.hardware.modbus import ModbusLink
from v2g.hardware.ports import DeviceError
from v2g.hardware.sunspec.codec import ModelImage, SunSpecError
from v2g.hardware.sunspec.discovery import Identity, ModelLocation, discover, read_identity
from v2g.hardware.sunspec.groups import read_model

SINGLE, SPLIT, WYE, DELTA = "single phase", "split phase", "wye", "delta"
_WIRING = {201: SINGLE, 202: SPLIT, 203: WYE, 204: DELTA, 211: SINGLE, 212: SPLIT, 213: WYE, 214: DELTA}
METERS = tuple(_WIRING)
_LEGS = {SINGLE: 1, SPLIT: 2, WYE: 3, DELTA: 3}
_WATTS = ("WphA", "WphB", "WphC")
_VARS = ("VARphA", "VARphB", "VARphC")
_UNTRUE = {"M_EVENT_Missing_Sensor": "a current transformer or a voltage input is missing"}
"""Events with which no power of the meter means anything."""
_SUM_SHARE, _SUM_W = 0.05, 50.0
"""Phases and total are of one request, and meters average them over different times."""

Phases = tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterReading:
    """One read. ``power_w`` and ``reactive_var`` by the meter's phases A, B, C, in the meter's own sign.

    ``legs``: how many phases it has, A first. ``remark``: what of the values was assumed, for people.
    """

    as_of_s: float
    model: int
    wiring: str
    legs: int
    power_w: Phases
    reactive_var: Phases | None
    remark: str = ""


class SunSpecMeter:
    """One meter. Calls are not to overlap."""

    def __init__(self, link: ModbusLink, clock: Clock) -> None:
        self.identity: Identity | None = None
        self._link = link
        self._clock = clock
        self._location: ModelLocation | None = None
        self._generation = -1

    async def read(self) -> MeterReading:
        """Raises :class:`DeviceError`: no answer, no meter model, or nothing in it that can be believed."""
        as_of_s = self._clock.monotonic_s()
        # Over another connection it may be another device.
        if self._location is None or self._link.generation != self._generation:
            self._location = await self._find()
        try:
            image = await read_model(self._link, self._location)
        except SunSpecError as error:
            self._location = None
            raise self._link.refuse(str(error)) from None
        except DeviceError:
            self._location = None
            raise
        return reading_of(image, as_of_s, self._link.name)

    async def _find(self) -> ModelLocation:
        models = await discover(self._link)
        number = next((number for number in METERS if number in models), None)
        if number is None:
            has = ", ".join(map(str, models)) or "none"
            raise self._link.refuse(f"it has no SunSpec meter model ({METERS[0]} to {METERS[-1]}); it has {has}")
        self.identity = await read_identity(self._link, models[1]) if 1 in models else None
        self._generation = self._link.generation
        return models[number]


def reading_of(image: ModelImage, as_of_s: float, name: str) -> MeterReading:
    """Raises :class:`DeviceError` where the model tells no power, or contradicts itself."""
    wiring = _WIRING[image.model.id]
    if untrue := [_UNTRUE[bit] for bit in image.bits("Evt") if bit in _UNTRUE]:
        raise DeviceError(f"{name}: it reports that {untrue[0]} (Evt); check the wiring at the meter")
    power_w, remark = _watts(image, wiring, name)
    return MeterReading(
        as_of_s=as_of_s,
        model=image.model.id,
        wiring=wiring,
        legs=_LEGS[wiring],
        power_w=power_w,
        reactive_var=_vars(image, wiring),
        remark=remark,
    )


def _watts(image: ModelImage, wiring: str, name: str) -> tuple[Phases, str]:
    total_w = image.number("W")
    told = _by_phase(image, _WATTS, wiring)
    if told is None and total_w is None:
        lost = " or its scale factor W_SF is" if "W_SF" in image.model.points else " is"
        raise DeviceError(
            f"{name}: model {image.model.id} tells no power: W{lost} not implemented; update its firmware"
        )
    if total_w is None:
        assert told is not None  # noqa: S101 - one of the two is there
        return told, ""
    if told is None:
        return _shared(total_w, wiring), _share_words(wiring, "it tells no power by phase")
    if abs(sum(told) - total_w) <= max(_SUM_W, _SUM_SHARE * abs(total_w)):
        return told, ""
    if not any(told):
        return _shared(total_w, wiring), _share_words(wiring, "its powers by phase are all 0 and its total is not")
    raise DeviceError(
        f"{name}: its phases add up to {sum(told):.0f} W and its total W is {total_w:.0f} W; check the current "
        "transformers that are set in it"
    )


def _vars(image: ModelImage, wiring: str) -> Phases | None:
    told = _by_phase(image, _VARS, wiring)
    total_var = image.number("VAR")
    if told is not None or total_var is None:
        return told
    return _shared(total_var, wiring)


def _by_phase(image: ModelImage, names: tuple[str, str, str], wiring: str) -> Phases | None:
    """None where not every phase is told: a delta meter with two elements tells A and C only, which are no phases."""
    values = [image.number(name) for name in names[: _LEGS[wiring]]]
    if any(value is None for value in values):
        return None
    a, b, c = (*(value or 0.0 for value in values), 0.0, 0.0)[:3]
    return a, b, c


def _shared(total: float, wiring: str) -> Phases:
    legs = _LEGS[wiring]
    a, b, c = (*(total / legs,) * legs, 0.0, 0.0)[:3]
    return a, b, c


def _share_words(wiring: str, why: str) -> str:
    return "" if _LEGS[wiring] == 1 else f"{why}: its total is shared equally among its {_LEGS[wiring]} phases"
