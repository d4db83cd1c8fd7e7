"""What the points of models 701, 702 and 703 mean for us. Pure."""

from __future__ import annotations

from v2g.hardware.sunspec.codec import ModelImage

_DELIVERING = ("RUNNING", "THROTTLED", "STANDBY")


def ratings(capacity: ModelImage) -> tuple[float, float]:
    """(charge, discharge) in W, magnitudes: the lower of rating and setting; 0 for what the device does not tell."""
    overall_w = _lowest(capacity, "WMaxRtg", "WMax")
    charge_w = _lowest(capacity, "WChaRteMaxRtg", "WChaRteMax")
    discharge_w = _lowest(capacity, "WDisChaRteMaxRtg", "WDisChaRteMax")
    fallback_w = 0.0 if overall_w is None else overall_w
    # The overall rating is one of injection: it bounds discharge even where a discharge rating is told.
    bounded_w = fallback_w if discharge_w is None else discharge_w if overall_w is None else min(discharge_w, overall_w)
    return fallback_w if charge_w is None else charge_w, bounded_w


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
