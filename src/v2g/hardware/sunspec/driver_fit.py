"""Which of our families would drive a SunSpec device, and what it lacks for that. Pure.

Judged by what the device implements. That its reversion counts down and its heartbeats advance shows only when it is
driven; until then it may charge and not discharge (:mod:`v2g.hardware.sunspec.ieee1547`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from v2g.hardware.sunspec import ieee1547, legacy, legacy_status, status
from v2g.hardware.sunspec.codec import ModelImage, load_model
from v2g.hardware.sunspec.discovery import ModelLocation
from v2g.hardware.sunspec.heartbeat import CONTROL

IEEE_1547, LEGACY = "701-715", "101-124"
_MEASURED, _CAPACITY, _SERVICE, _CONTROLS, _DC = 701, 702, 703, 704, 714
_FUNCTIONS = (703, 705, 706, 707, 708, 709, 710, 711, 712)
_REVERSION = ("WSetRvrt", "WSetEnaRvrt", "WSetRvrtTms", "WSetRvrtRem")
_HEARTBEATS = ("ControllerHb", "DERHb")
_STATES = ("St", "InvSt", "ConnSt")
_BOTH = ("charge", "discharge")
_ENABLED = 1


@dataclass(frozen=True, slots=True)
class Lack:
    """``bars``: the directions of power that are refused for it alone; none where it only tells less."""

    name: str
    reason: str
    bars: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DriverFit:
    """``family``: :data:`IEEE_1547` or :data:`LEGACY`; None: neither drives it. Ratings are magnitudes."""

    family: str | None
    max_charge_w: float
    max_discharge_w: float
    lacks: tuple[Lack, ...]

    def permits(self, direction: str) -> bool:
        """Nothing that is seen here bars ``charge`` or ``discharge``."""
        return all(direction not in lack.bars for lack in self.lacks)


def family_of(locations: Mapping[int, ModelLocation]) -> str | None:
    """A device with the models of both is driven by the first, which can prove its reversion. None: by neither."""
    if all(number in locations for number in ieee1547.REQUIRED):
        return IEEE_1547
    return LEGACY if legacy.complete(locations) else None


def wanted_models(locations: Mapping[int, ModelLocation]) -> Sequence[int]:
    """What :func:`judge` needs, as far as the device has it."""
    wanted = {
        IEEE_1547: (_MEASURED, _CAPACITY, _SERVICE, _CONTROLS, CONTROL),
        LEGACY: (*legacy.LegacyFamily.MODELS, CONTROL),
        None: (),
    }[family_of(locations)]
    return [number for number in wanted if number in locations]


def judge(locations: Mapping[int, ModelLocation], images: Mapping[int, ModelImage]) -> DriverFit:
    """``images``: those of :func:`wanted_models` that could be read."""
    family = family_of(locations)
    unread = [number for number in wanted_models(locations) if number not in images]
    lacks = [Lack(f"model {number}", "it is there and could not be read", _BOTH) for number in unread]
    # An empty model has none of its points: what could not be read is never taken for present.
    known = {number: ModelImage.blank(load_model(number)) for number in unread} | dict(images)
    if family is None:
        return DriverFit(None, 0.0, 0.0, (_no_family(locations),))
    if family == LEGACY:
        (charge_w, discharge_w), found = legacy_status.ratings(known), _legacy(known)
    else:
        (charge_w, discharge_w), found = status.ratings(known[_CAPACITY]), _ieee1547(locations, known)
    lacks += [*found, *_ratings(charge_w, discharge_w)]
    return DriverFit(family, charge_w, discharge_w, tuple(lacks))


def _no_family(locations: Mapping[int, ModelLocation]) -> Lack:
    missing = ", ".join(str(number) for number in ieee1547.REQUIRED if number not in locations)
    return Lack(
        "models", f"no {missing}, nor of the older family an inverter model (101 to 113) together with 1 and 124", _BOTH
    )


def _ieee1547(locations: Mapping[int, ModelLocation], images: Mapping[int, ModelImage]) -> list[Lack]:
    measured, controls, service = images[_MEASURED], images[_CONTROLS], images.get(_SERVICE)
    lacks = []
    if measured.number("W") is None:
        lacks.append(Lack("power", "701 does not implement W", _BOTH))
    if absent := _absent(controls, ("WSet", "WSetEna")):
        lacks.append(Lack("set-point", f"704 does not implement {absent}", _BOTH))
    tells_state = any(measured.integer(name) is not None for name in _STATES)
    if not tells_state and (service is None or service.integer("ES") is None):
        lacks.append(Lack("state", f"neither 701 {', '.join(_STATES)} nor 703 ES is implemented", _BOTH))
    reversion, beat = _absent(controls, _REVERSION), _heartbeat(images)
    if reversion:
        bars = ("discharge",) if beat else ()
        lacks.append(Lack("reversion", f"704 does not implement {reversion}", bars))
    if beat:
        lacks.append(Lack("heartbeat", beat, ("discharge",) if reversion else ()))
    if controls.integer("AntiIslEna") != _ENABLED:
        told = "does not tell" if controls.integer("AntiIslEna") is None else "has not enabled"
        lacks.append(Lack("anti-islanding", f"704 {told} AntiIslEna; without it a loss-of-mains input is needed"))
    if _DC not in locations:
        lacks.append(Lack("dc power", "it has no model 714"))
    functions = [str(number) for number in _FUNCTIONS if number not in locations]
    if functions:
        lacks.append(Lack("grid functions", f"it has no model {', '.join(functions)}"))
    return lacks


def _legacy(images: Mapping[int, ModelImage]) -> list[Lack]:
    measured = images[next(number for number in legacy_status.INVERTERS if number in images)]
    storage = images[legacy_status.STORAGE]
    lacks = []
    if measured.number("W") is None:
        lacks.append(Lack("power", f"{measured.model.id} does not implement W", _BOTH))
    if missing := legacy_status.missing_points(storage):
        lacks.append(Lack("set-point", f"124 does not implement {', '.join(missing)}", _BOTH))
    if not legacy_status.state(measured):
        lacks.append(Lack("state", f"{measured.model.id} does not implement St", _BOTH))
    beat = _heartbeat(images)
    lacks.append(
        Lack(
            "reversion",
            "124 reverts by InOutWRte_RvrtTms, which cannot be seen counting",
            ("discharge",) if beat else (),
        )
    )
    if beat:
        lacks.append(Lack("heartbeat", beat, ("discharge",)))
    lacks.append(Lack("anti-islanding", "the older models have no AntiIslEna; a loss-of-mains input is needed"))
    lacks.append(Lack("grid functions", "none is written into the older models"))
    return lacks


def _ratings(charge_w: float, discharge_w: float) -> Iterable[Lack]:
    if charge_w <= 0:
        yield Lack("charge rating", "it tells none, or one of 0", ("charge",))
    if discharge_w <= 0:
        yield Lack("discharge rating", "it tells none, or one of 0", ("discharge",))


def _heartbeat(images: Mapping[int, ModelImage]) -> str:
    """Why model 715 cannot stand for the reversion; empty when it may."""
    control = images.get(CONTROL)
    if control is None:
        return "it has no model 715"
    absent = _absent(control, _HEARTBEATS)
    return f"715 does not implement {absent}" if absent else ""


def _absent(image: ModelImage, names: Iterable[str]) -> str:
    """Those that are not implemented, or whose scale factor is not."""
    return ", ".join(name for name in names if image.get(name) is None)
