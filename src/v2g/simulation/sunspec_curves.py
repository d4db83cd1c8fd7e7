"""The stored curves and controls of a simulated inverter: SunSpec models 705 to 712 with the adopt handshake.

The first set of each model shows what is in force and takes no writes; two more take anything, and are judged when
they are to be adopted.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from v2g.hardware.sunspec.codec import ModelImage, load_repeated
from v2g.simulation.inverter_functions import CurveFunction, InverterFunctions, Points, TripCurve

ADOPT_S = 0.3
"""How long adopting takes."""
STORED_SETS = 3
_IN_PROGRESS, _COMPLETED, _FAILED = 0, 1, 2
_RW, _R = 0, 1
_VA_MAX_PCT, _VAR_MAX_PCT, _W_MAX_PCT = 3, 1, 0


@dataclass(frozen=True, slots=True)
class _Shape:
    """``x``, ``y``: names of a point's coordinates. ``curves``: the curves of a set, by prefix."""

    points: int
    scales: Mapping[str, int]
    x: str = "V"
    y: str = ""
    curves: tuple[str, ...] = ("",)
    group: str = "Crv"


_TRIP = ("MustTrip.", "MayTrip.", "MomCess.")
_SHAPES: dict[int, _Shape] = {
    705: _Shape(4, {"V_SF": -2, "DeptRef_SF": -2, "RspTms_SF": -1}, "V", "Var"),
    706: _Shape(2, {"V_SF": -2, "DeptRef_SF": -2, "RspTms_SF": -1}, "V", "W"),
    707: _Shape(5, {"V_SF": -2, "Tms_SF": -2}, "V", "Tms", _TRIP),
    708: _Shape(5, {"V_SF": -2, "Tms_SF": -2}, "V", "Tms", _TRIP),
    709: _Shape(5, {"Hz_SF": -3, "Tms_SF": -2}, "Hz", "Tms", _TRIP),
    710: _Shape(5, {"Hz_SF": -3, "Tms_SF": -2}, "Hz", "Tms", _TRIP),
    711: _Shape(0, {"Db_SF": -3, "K_SF": -3, "RspTms_SF": -1}, group="Ctl"),
    712: _Shape(6, {"W_SF": -2, "DeptRef_SF": -2}, "W", "Var"),
}
MODELS = tuple(_SHAPES)


class StoredCurves:
    """The images of these models for one device."""

    def __init__(self, functions: InverterFunctions) -> None:
        self.refuses: set[int] = set()
        """Models that fail to adopt anything."""
        self.var_reference = _VA_MAX_PCT
        """The only DeptRef that this device knows for reactive power."""
        self.var_max_pu = 1.0
        """Its largest reactive power, per unit of the apparent rating (for VAR_MAX_PCT)."""
        self._functions = functions
        self._adopting: dict[int, tuple[int, float]] = {}
        self.images = {model: _blank(model, shape) for model, shape in _SHAPES.items()}
        self._show()

    def writable(self, model: int, name: str) -> bool:
        return not name.startswith(f"{_SHAPES[model].group}[1].")

    def written(self, model: int, name: str, now_s: float) -> None:
        """A point got a new value; only the switch and the request do something."""
        image = self.images[model]
        if name == "Ena":
            self._apply(model)
        elif name in ("AdptCrvReq", "AdptCtlReq"):
            image.set(self._result(model), _IN_PROGRESS)
            self._adopting[model] = (image.integer(name) or 0, now_s + ADOPT_S)

    def settle(self, now_s: float) -> None:
        """Finish what has been adopting long enough."""
        for model, (number, done_s) in list(self._adopting.items()):
            if now_s < done_s:
                continue
            del self._adopting[model]
            image, shape = self.images[model], _SHAPES[model]
            fits = model not in self.refuses and self._is_sound(model, number)
            if fits:
                source, target = f"{shape.group}[{number}].", f"{shape.group}[1]."
                for name in [name for name in image.model.points if name.startswith(source)]:
                    if not name.endswith(".ReadOnly"):
                        image.copy(name, target + name.removeprefix(source))
                self._apply(model)
            image.set(self._result(model), _COMPLETED if fits else _FAILED)

    def _result(self, model: int) -> str:
        return "AdptCtlRslt" if _SHAPES[model].group == "Ctl" else "AdptCrvRslt"

    def _is_sound(self, model: int, number: int) -> bool:
        shape, image = _SHAPES[model], self.images[model]
        if not 1 <= number <= STORED_SETS:
            return False
        if shape.group == "Ctl":
            return all(
                (image.number(f"Ctl[{number}].{name}") or 0.0) > 0.0
                for name in ("DbOf", "DbUf", "KOf", "KUf", "RspTms")
            )
        if model in (705, 712) and image.integer(f"Crv[{number}].DeptRef") != self.var_reference:
            return False
        for curve in shape.curves:
            count = image.integer(f"Crv[{number}].{curve}ActPt") or 0
            points = self._points(model, number, curve)
            if count > shape.points or len(points) != count:
                return False
            ascending = all(a[0] <= b[0] for a, b in itertools.pairwise(points))
            descending = all(a[0] >= b[0] for a, b in itertools.pairwise(points))
            if not (ascending or (shape.y == "Tms" and descending)):
                return False
        return True

    def _points(self, model: int, number: int, curve: str = "") -> Points:
        shape, image = _SHAPES[model], self.images[model]
        found = []
        for at in range(1, min(image.integer(f"Crv[{number}].{curve}ActPt") or 0, shape.points) + 1):
            x = image.number(f"Crv[{number}].{curve}Pt[{at}].{shape.x}")
            y = image.number(f"Crv[{number}].{curve}Pt[{at}].{shape.y}")
            if x is not None and y is not None:
                found.append((x, y))
        return tuple(found)

    def _apply(self, model: int) -> None:
        """What is in force becomes the device's behaviour."""
        image, functions = self.images[model], self._functions
        enabled = image.integer("Ena") == 1

        def curve(target: CurveFunction) -> None:
            share = self.var_max_pu if image.integer("Crv[1].DeptRef") == _VAR_MAX_PCT and model != 706 else 1.0
            target.enabled = enabled
            target.points = tuple((x, y * share) for x, y in self._points(model, 1))
            target.response_s = image.number("Crv[1].RspTms") or 0.0 if model != 712 else 0.0

        targets: dict[int, Callable[[], None]] = {
            705: lambda: curve(functions.volt_var),
            706: lambda: curve(functions.volt_watt),
            712: lambda: curve(functions.watt_var),
        }
        if model in targets:
            targets[model]()
        elif model == 711:
            droop = functions.droop
            droop.enabled = enabled
            for name, field in (
                ("DbOf", "db_of_hz"),
                ("DbUf", "db_uf_hz"),
                ("KOf", "k_of"),
                ("KUf", "k_uf"),
                ("RspTms", "response_s"),
            ):
                setattr(droop, field, image.number(f"Ctl[1].{name}"))
        else:
            ceasing = self._points(model, 1, "MomCess.")
            functions.trips[model] = TripCurve(
                enabled=enabled,
                points=self._points(model, 1, "MustTrip."),
                ceases_at_pct=ceasing[0][0] if ceasing else None,
            )

    def _show(self) -> None:
        """The device as delivered: its trips, and droop with the standard's figures, all as in ``functions``."""
        for model, trip in self._functions.trips.items():
            image, shape = self.images[model], _SHAPES[model]
            image.set("Ena", int(trip.enabled))
            image.set("Crv[1].MustTrip.ActPt", len(trip.points))
            for at, (x, y) in enumerate(trip.points, 1):
                image.set(f"Crv[1].MustTrip.Pt[{at}].{shape.x}", x)
                image.set(f"Crv[1].MustTrip.Pt[{at}].Tms", y)
        droop, image = self._functions.droop, self.images[711]
        for name, value in (
            ("DbOf", droop.db_of_hz),
            ("DbUf", droop.db_uf_hz),
            ("KOf", droop.k_of),
            ("KUf", droop.k_uf),
            ("RspTms", droop.response_s),
        ):
            image.set(f"Ctl[1].{name}", value)


def _blank(model: int, shape: _Shape) -> ModelImage:
    definition = load_repeated(model, (STORED_SETS,) if shape.group == "Ctl" else (STORED_SETS, shape.points))
    image = ModelImage.blank(definition)
    for name, count in zip(definition.counts, (STORED_SETS, shape.points), strict=False):
        image.set(name, count)
    for name, exponent in shape.scales.items():
        image.set(name, exponent)
    image.set("Ena", 0)
    image.set("AdptCtlRslt" if shape.group == "Ctl" else "AdptCrvRslt", _COMPLETED)
    for number in range(1, STORED_SETS + 1):
        prefix = f"{shape.group}[{number}]."
        image.set(f"{prefix}ReadOnly", _R if number == 1 else _RW)
        for curve in shape.curves if shape.points else ():
            image.set(f"{prefix}{curve}ActPt", 0)
        for name, value in (
            ("DeptRef", _W_MAX_PCT if model == 706 else _VA_MAX_PCT),
            ("Pri", 1),
            ("VRef", 100.0),
            ("VRefAutoEna", 0),
            ("RspTms", 5.0 if model != 711 else None),
        ):
            if f"{prefix}{name}" in definition.points and value is not None:
                image.set(f"{prefix}{name}", value)
    return image
