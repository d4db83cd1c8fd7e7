"""What the points of models 701, 702 and 703 mean for us. Pure."""

from __future__ import annotations

from v2g.hardware.sunspec.codec import ModelImage

_DELIVERING = ("RUNNING", "THROTTLED", "STANDBY")


def ratings(capacity: ModelImage) -> tuple[float, float]:
    """(charge, discharge) in W, magnitudes: the lower of rating and setting; 0 for what the device does not tell.

    The overall rating WMaxRtg is one of injection. It stands for a discharge rating that is not told and bounds one
    that is; it never stands for a charge rating: IEEE 1547-2018 lists that by itself (table 28, "active power charge
    maximum rating"), so a device without WChaRteMaxRtg and WChaRteMax, such as a PV inverter, does not charge.
    """
    overall_w = _lowest(capacity, "WMaxRtg", "WMax")
    charge_w = _lowest(capacity, "WChaRteMaxRtg", "WChaRteMax")
    discharge_w = _lowest(capacity, "WDisChaRteMaxRtg", "WDisChaRteMax")
    told_w = [value for value in (discharge_w, overall_w) if value is not None]
    return charge_w or 0.0, min(told_w, default=0.0)


def apparent_rating_va(capacity: ModelImage) -> float:
    """The lower of rating and setting; the active rating where no apparent one is told."""
    told_va = _lowest(capacity, "VAMaxRtg", "VAMax")
    return told_va if told_va is not None else max(ratings(capacity))


def var_max_per_va(capacity: ModelImage) -> float:
    """The largest reactive power in both directions, per unit of the apparent rating; 0 where it is not told."""
    told_var = [_lowest(capacity, f"VarMax{way}Rtg", f"VarMax{way}") for way in ("Inj", "Abs")]
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


def _lowest(image: ModelImage, rating: str, setting: str) -> float | None:
    rated, configured = image.number(rating), image.number(setting)
    # Settings of 0 are common in devices where nobody wrote them; only a rating of 0 means "cannot".
    if rated is None:
        return configured
    return rated if not configured else min(rated, configured)
