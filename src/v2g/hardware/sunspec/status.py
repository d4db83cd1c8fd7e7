"""What the points of models 701, 702, 703 and 714 mean for us. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from v2g.hardware.sunspec.codec import ModelImage

_DELIVERING = ("RUNNING", "THROTTLED", "STANDBY")
_TEMPERATURES = ("TmpSw", "TmpSnk", "TmpCab", "TmpTrns", "TmpOt")


def ratings(capacity: ModelImage) -> tuple[float, float]:
    """(charge, discharge) in W, magnitudes: the lower of rating and setting; 0 for what the device does not tell.

    The overall rating WMaxRtg is one of injection. It stands for a discharge rating that is not told and bounds one
    that is; it never stands for a charge rating: IEEE 1547-2018 lists that by itself (table 28, "active power charge
    maximum rating"), so a device without WChaRteMaxRtg and WChaRteMax, such as a PV inverter, does not charge.
    """
    overall_w = lowest(capacity, "WMaxRtg", "WMax")
    charge_w = lowest(capacity, "WChaRteMaxRtg", "WChaRteMax")
    discharge_w = lowest(capacity, "WDisChaRteMaxRtg", "WDisChaRteMax")
    told_w = [value for value in (discharge_w, overall_w) if value is not None]
    return charge_w or 0.0, min(told_w, default=0.0)


def apparent_rating_va(capacity: ModelImage) -> float:
    """The lower of rating and setting; the active rating where no apparent one is told."""
    told_va = lowest(capacity, "VAMaxRtg", "VAMax")
    return told_va if told_va is not None else max(ratings(capacity))


def var_max_per_va(capacity: ModelImage) -> float:
    """The largest reactive power in both directions, per unit of the apparent rating; 0 where it is not told."""
    told_var = [lowest(capacity, f"VarMax{way}Rtg", f"VarMax{way}") for way in ("Inj", "Abs")]
    rating_va = apparent_rating_va(capacity)
    known_var = [value for value in told_var if value is not None]
    return min(known_var) / rating_va if len(known_var) == 2 and rating_va > 0 else 0.0


def able_to_deliver(measured: ModelImage, enter_service: ModelImage | None) -> bool:
    """Connected to the grid and running. A device that tells none of its states is not."""
    checks = []
    if measured.integer("St") is not None:
        checks.append(measured.symbol("St") == "ON")
    if measured.integer("InvSt") is not None:
        checks.append(measured.symbol("InvSt") in _DELIVERING)
    if measured.integer("ConnSt") is not None:
        checks.append(measured.symbol("ConnSt") == "CONNECTED")
    if enter_service is not None and enter_service.integer("ES") is not None:
        checks.append(enter_service.symbol("ES") == "ENABLED")
    return bool(checks) and all(checks)


def fault(measured: ModelImage) -> str | None:
    """The alarms by their SunSpec names, and the state FAULT; None when there is none."""
    alarms = measured.bits("Alrm")
    if measured.symbol("InvSt") == "FAULT":
        return f"FAULT {' '.join(alarms)}".strip()
    return " ".join(alarms) or None


def state(measured: ModelImage) -> str:
    """The inverter's own state, or that of the DER; a number where it has no name; empty where neither is told."""
    for name in ("InvSt", "St"):
        told = measured.integer(name)
        if told is not None:
            return measured.symbol(name) or f"{name} {told}"
    return ""


def hottest_c(measured: ModelImage, names: Sequence[str] = _TEMPERATURES) -> float | None:
    """Without the ambient's; None where none is told."""
    told_c = [measured.number(name) for name in names]
    return max((value for value in told_c if value is not None), default=None)


def dc_power_w(ports: ModelImage) -> float | None:
    """Model 714: the sum of its ports, or the total where it tells no ports; positive: into the vehicle.

    The model gives ``DCW`` a sign (int16) and no words for it. Taken as injecting when positive, as 701 W is and as the
    energies beside it are called (``DCWhInj``, ``DCWhAbs``): positive discharges the port. It is shown, and
    ``v2g-tool test-discharge`` measures the efficiency by it. None where one of the ports is not told: a sum without it
    would be another power.
    """
    names = [name for name in ports.model.points if name.startswith("Prt[") and name.endswith(".DCW")] or ["DCW"]
    told_w = [ports.number(name) for name in names]
    known_w = [value for value in told_w if value is not None]
    return 0.0 - sum(known_w) if len(known_w) == len(told_w) else None


def lowest(image: ModelImage, rating: str, setting: str) -> float | None:
    """The lower of a rating and its setting, never below zero; None where neither is told."""
    rated, configured = magnitude(image, rating), magnitude(image, setting)
    # Settings of 0 are common in devices where nobody wrote them; only a rating of 0 means "cannot".
    if rated is None:
        return configured
    return rated if not configured else min(rated, configured)


def magnitude(image: ModelImage, name: str) -> float | None:
    """A rating as told, negative ones as zero: no device means that it can do less than nothing."""
    value = image.number(name)
    return None if value is None else max(0.0, value)
