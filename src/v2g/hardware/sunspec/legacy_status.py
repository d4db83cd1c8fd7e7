"""What the points of the older models 101 to 124 mean for us. Pure.

Percentages of model 124: ``InWRte`` counts in percent of WChaMax, ``OutWRte`` in percent of WDisChaMax, which is no
point of any model. Devices take for it what 120 says as MaxDisChaRte, or WChaMax. The greater of both is the base
here, in both directions: a device that counts from the smaller one gives less than it is ordered, never more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from v2g.hardware.sunspec.codec import ModelImage, load_model
from v2g.hardware.sunspec.status import hottest_c, magnitude

INTEGER_INVERTERS = (101, 102, 103)
FLOAT_INVERTERS = (111, 112, 113)
INVERTERS = (*INTEGER_INVERTERS[::-1], *FLOAT_INVERTERS[::-1])
"""In the order of choice, since some devices have several: three phases before fewer, integers before floats."""
NAMEPLATE, SETTINGS, STATUS, CONTROLS, STORAGE = 120, 121, 122, 123, 124
BOTH = 0b11
"""StorCtl_Mod: the charge rate and the discharge rate are in force."""
_DELIVERING = ("MPPT", "THROTTLED", "STANDBY")
_CONNECT, _ENABLED = 1, 1
_TEMPERATURES = ("TmpSnk", "TmpCab", "TmpTrns", "TmpOt")
_PHASES = ("PhVphA", "PhVphB", "PhVphC")
_MOST_UNITS = 0x7FFF
_VENDOR_EVENTS = ("EvtVnd1", "EvtVnd2", "EvtVnd3", "EvtVnd4")


def ratings(images: Mapping[int, ModelImage]) -> tuple[float, float]:
    """(charge, discharge) in W, magnitudes; 0 for what the device does not tell.

    Charge: 120 MaxChaRte and 124 WChaMax, which the rates are percentages of. Discharge: 120 MaxDisChaRte, WRtg and
    121 WMax, what 100 % of the rates is, and the limit of 123 where it is enabled. WRtg is a rating of output: it never
    stands for one of charge.
    """
    base_w = rate_base_w(images)
    nameplate, told = images.get(NAMEPLATE), images[STORAGE]
    if nameplate is None or base_w <= 0:
        return 0.0, 0.0
    charge_w = [value for value in (magnitude(nameplate, "MaxChaRte"), magnitude(told, "WChaMax")) if value is not None]
    output_w = output_max_w(images)
    limits_w = [value for value in (magnitude(nameplate, "MaxDisChaRte"), limit_w(images)) if value is not None]
    return min(charge_w, default=0.0), min([*limits_w, output_w, base_w])


def rate_base_w(images: Mapping[int, ModelImage]) -> float:
    """What 100 % of the rates of model 124 is; 0 where it is not told."""
    setting_w = magnitude(images[STORAGE], "WChaMax") or 0.0
    nameplate = images.get(NAMEPLATE)
    discharge_w = None if nameplate is None else magnitude(nameplate, "MaxDisChaRte")
    return max(setting_w, discharge_w or 0.0) if setting_w > 0 else 0.0


def output_max_w(images: Mapping[int, ModelImage]) -> float:
    """WMax, which the limit of 123 and the ramp rate of 121 are percentages of; 0 where it is not told."""
    nameplate, settings = images.get(NAMEPLATE), images.get(SETTINGS)
    rated_w = None if nameplate is None else magnitude(nameplate, "WRtg")
    setting_w = None if settings is None else magnitude(settings, "WMax")
    if rated_w is None:
        return setting_w or 0.0
    return min(rated_w, setting_w) if setting_w else rated_w


def limit_w(images: Mapping[int, ModelImage]) -> float | None:
    """The limit of output that is enabled in 123; None where none is."""
    controls = images.get(CONTROLS)
    if controls is None or controls.integer("WMaxLim_Ena") != _ENABLED:
        return None
    percent = controls.number("WMaxLimPct")
    return 0.0 if percent is None else max(0.0, percent) / 100.0 * output_max_w(images)


def apparent_rating_va(images: Mapping[int, ModelImage]) -> float:
    nameplate, settings = images.get(NAMEPLATE), images.get(SETTINGS)
    told_va = [image.number(name) for image, name in ((nameplate, "VARtg"), (settings, "VAMax")) if image is not None]
    known_va = [value for value in told_va if value]
    return min(known_va) if known_va else max(ratings(images))


def rates(power_w: float, images: Mapping[int, ModelImage]) -> float | None:
    """``OutWRte`` for a power (positive: into the vehicle); ``InWRte`` is its opposite. Rounded towards zero to what
    the device can tell; None where it tells no base or no scale."""
    base_w = rate_base_w(images)
    step = images[STORAGE].scaled("OutWRte", [1])
    if base_w <= 0 or not isinstance(step, int | float):
        return None
    units = math.trunc(100.0 * power_w / base_w / step + math.copysign(1e-9, power_w))
    # By a scale of 0.001 an int16 does not reach 100 %.
    return 0.0 - max(-_MOST_UNITS, min(units, _MOST_UNITS)) * step


def shown_w(images: Mapping[int, ModelImage]) -> tuple[float, bool]:
    """The power that the rates force, positive: into the vehicle; and whether they do. Rates that leave a window open
    order no power."""
    storage = images[STORAGE]
    out_pct, in_pct = storage.number("OutWRte"), storage.number("InWRte")
    pinned = out_pct is not None and in_pct is not None and out_pct + in_pct == 0.0
    in_force = pinned and (storage.integer("StorCtl_Mod") or 0) & BOTH == BOTH
    return (0.0 - (out_pct or 0.0) / 100.0 * rate_base_w(images) if in_force else 0.0), in_force


def state(measured: ModelImage) -> str:
    """In the words of model 103, whose numbers all inverter models share."""
    told = measured.integer("St")
    return "" if told is None else load_model(103).point("St").symbols.get(told, f"St {told}")


def able_to_deliver(measured: ModelImage, images: Mapping[int, ModelImage]) -> bool:
    """Running, and connected as far as 122 and 123 tell. A device that does not tell its state is not."""
    checks = [state(measured) in _DELIVERING]
    if STATUS in images and images[STATUS].integer("ECPConn") is not None:
        checks.append(images[STATUS].integer("ECPConn") != 0)
    if CONTROLS in images and images[CONTROLS].integer("Conn") is not None:
        checks.append(images[CONTROLS].integer("Conn") == _CONNECT)
    return all(checks)


def alarms(measured: ModelImage) -> tuple[str, ...]:
    """Events by name; those of the vendor by point and bit."""
    of_vendor = [f"{name} {bit}" for name in _VENDOR_EVENTS for bit in measured.bits(name)]
    return (*events(measured), *of_vendor)


def events(measured: ModelImage) -> tuple[str, ...]:
    """Those that SunSpec defines (Evt1); the float models' definitions name them as 103 does."""
    value = measured.integer("Evt1") or 0
    names = load_model(103).point("Evt1").symbols
    return tuple(names.get(bit, f"BIT{bit}") for bit in range(value.bit_length()) if value >> bit & 1)


def fault(measured: ModelImage) -> str | None:
    """The events by name, and the state FAULT; what only the vendor knows is no fault by itself."""
    told = " ".join(events(measured))
    return f"FAULT {told}".strip() if state(measured) == "FAULT" else told or None


def voltage_v(measured: ModelImage) -> float:
    """Line to neutral, the mean of the phases that are told; 0 where none is."""
    told_v = [value for name in _PHASES if (value := measured.number(name)) is not None]
    return sum(told_v) / len(told_v) if told_v else 0.0


def dc_power_w(measured: ModelImage) -> float | None:
    told_w = measured.number("DCW")
    return None if told_w is None else 0.0 - told_w


def temperature_c(measured: ModelImage) -> float | None:
    return hottest_c(measured, _TEMPERATURES)


def missing_points(storage: ModelImage) -> Sequence[str]:
    """What a set-point needs and the device does not implement."""
    return [name for name in ("StorCtl_Mod", "OutWRte", "InWRte") if storage.number(name) is None]
