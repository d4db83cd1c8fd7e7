"""What a case calls its settings, as settings of the guard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from v2g.grid import profiles
from v2g.grid.overcurrent import OvercurrentSettings
from v2g.grid.protection import ProtectionSettings
from v2g.grid.settings import GridSettings, Measured, SettingsError
from v2g.replay.stimulus import Case, ReplayError

PROFILES = {
    "default_I": "ieee1547-I",
    "default_II": "ieee1547-II",
    "default_III": "ieee1547-III",
    "vde4105": "vde-ar-n-4105",
    "g99": "g99",
}
CATEGORIES = ("I", "II", "III")
_ENTER_SERVICE = {
    "delay": "delay_s",
    "ramp": "ramp_s",
    "random": "random_delay_s",
    "v_lo": "v_lo_pu",
    "v_hi": "v_hi_pu",
    "f_lo": "f_lo_hz",
    "f_hi": "f_hi_hz",
}
RATED_A = 400.0
"""Feeder and transformer of a replay: far above what the waveforms carry, so that voltage and frequency decide."""
_SMALL_KVA = 100.0


def protection_settings(grid: GridSettings, opening_time_s: float) -> ProtectionSettings:
    return ProtectionSettings(
        grid=grid,
        opening_time_s=opening_time_s,
        feeder=OvercurrentSettings(place="feeder", rated_a=RATED_A),
        transformer=OvercurrentSettings(place="transformer", rated_a=RATED_A),
    )


def settings_of(case: Case) -> GridSettings:
    """Raises :class:`~v2g.replay.stimulus.ReplayError` for a form that is not known or out of its range."""
    try:
        return _settings_of(case)
    except (SettingsError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ReplayError(f"case {case.id}, settings: {error}; correct the row or its profile") from None


def _settings_of(case: Case) -> GridSettings:
    form = case.settings
    name = form.get("profile", "default_III")
    changes: Mapping[str, Mapping[str, Any]] = form.get("override", {})
    if name == "ui" or name.startswith("widest_"):
        if changes or is_entry(case):
            raise ValueError(f"{name} stands alone, without override, es and sync")
        category = case.category if case.category in CATEGORIES else "III"
        settings = profiles.islanding_test(category) if name == "ui" else profiles.widest(name.removeprefix("widest_"))
    elif name in PROFILES:
        settings = profiles.resolve(
            nominal_frequency_hz=case.nominal_hz,
            profile=PROFILES[name],
            confirmed=True,
            trips={element: _change(change) for element, change in changes.items()},
            enter_service=_enter_service(form["es"]) if "es" in form else {"delay_s": 0.0} if "sync" in form else None,
            rated_kva=float(form["sync"]["kva"]) if "sync" in form else _SMALL_KVA,
        )
    else:
        raise ValueError(f"no profile {name!r}; known are {', '.join(PROFILES)}, widest_II, widest_III, ui")
    return profiles.only(settings, tuple(changes)) if form.get("disable_other") else settings


def is_entry(case: Case) -> bool:
    """The case is about closing: enter service or synchronisation. It begins with an open breaker."""
    return "es" in case.settings or "sync" in case.settings


def _change(given: Mapping[str, Any]) -> dict[str, float]:
    names = {"v": "threshold", "f": "threshold", "t": "time_s"}
    return {names[key]: float(value) for key, value in given.items()}


def _enter_service(given: Mapping[str, Any]) -> dict[str, float]:
    fields = {_ENTER_SERVICE[key]: float(value) for key, value in given.items()}
    # 0 stands for "not used": the ramp and the randomised delay exclude one another.
    for name in ("ramp_s", "random_delay_s"):
        if fields.get(name) == 0.0:
            del fields[name]
    return fields


def voltage_only(settings: GridSettings, nominal_frequency_hz: float) -> GridSettings:
    """The voltage elements of a profile at another frequency than its own: for records that were taken there. What the
    profile says of frequency is left out, the enter-service window included; it protects nothing."""
    names = tuple(
        setting.element
        for setting in settings.trips.elements
        if setting.quantity in (Measured.VOLTAGE, Measured.VOLTAGE_10MIN)
    )
    ride_through = settings.ride_through
    kept = profiles.only(settings, names)
    return replace(
        kept,
        nominal_frequency_hz=nominal_frequency_hz,
        trips=replace(kept.trips, nominal_frequency_hz=nominal_frequency_hz),
        enter_service=replace(
            kept.enter_service, f_lo_hz=nominal_frequency_hz * 0.65, f_hi_hz=nominal_frequency_hz * 1.35
        ),
        ride_through=None if ride_through is None else replace(ride_through, frequency=()),
    )
