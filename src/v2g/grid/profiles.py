"""Named profiles of grid settings, their ranges of adjustability, and the one function that resolves them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from v2g.grid import european, ieee1547
from v2g.grid.ieee1547 import Adjustable, Range
from v2g.grid.ride_through import conflicts
from v2g.grid.settings import (
    EnterServiceSettings,
    GridSettings,
    Measured,
    RideThroughSettings,
    SettingsError,
    SettingsUnset,
    Side,
    SyncLimits,
    TripSetting,
    TripSettings,
)

IEEE1547_NOMINAL_HZ = ieee1547.NOMINAL_HZ

TripChange = Mapping[str, float]
"""``{"threshold": 1.15, "time_s": 5.0}`` or a part of it."""

SIMULATION = "simulation"
_SIMULATION_DELAY_S = 1.0
_SIMULATION_RAMP_S = 1.0
_TRIP_VALUES = ("threshold", "time_s")
_UNITS = {
    Measured.VOLTAGE: "p.u.", Measured.VOLTAGE_10MIN: "p.u.", Measured.FREQUENCY: "Hz", Measured.ROCOF: "Hz/s",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Profile:
    name: str
    standard: str
    verified: bool
    nominal_frequency_hz: float
    category: str
    elements: tuple[TripSetting, ...]
    enter_service: EnterServiceSettings
    ride_through: RideThroughSettings | None
    trip_rows: tuple[ieee1547.TripRow, ...] = ()
    """Empty: it states no ranges."""
    enter_service_ranges: Mapping[str, Adjustable] | None = None

    def sync(self, rated_kva: float) -> SyncLimits:
        limits = ieee1547.sync_limits(rated_kva)
        if self.ride_through is not None:
            return limits
        return replace(limits, clause=f"assumed as in {limits.clause}; {self.standard} states none here")


def _ieee1547(name: str, category: str) -> _Profile:
    rows = ieee1547.trip_rows(category)
    defaults = {field: row.default for field, row in ieee1547.ENTER_SERVICE.items()}
    return _Profile(
        name=name,
        standard=ieee1547.STANDARD,
        verified=True,
        nominal_frequency_hz=ieee1547.NOMINAL_HZ,
        category=category,
        elements=tuple(
            TripSetting(r.element, r.quantity, r.side, r.threshold.default, r.time_s.default, r.clause) for r in rows
        ),
        enter_service=EnterServiceSettings(**defaults, clause=ieee1547.ENTER_SERVICE_CLAUSE),
        ride_through=ieee1547.RIDE_THROUGH[category],
        trip_rows=rows,
        enter_service_ranges=ieee1547.ENTER_SERVICE,
    )


def _simulation() -> _Profile:
    base = _ieee1547(SIMULATION, "III")
    return replace(
        base,
        standard=f"{ieee1547.STANDARD}, shortened for demonstrations",
        verified=False,
        enter_service=replace(base.enter_service, delay_s=_SIMULATION_DELAY_S, ramp_s=_SIMULATION_RAMP_S),
    )


def _european(name: str, example: european.Example) -> _Profile:
    return _Profile(
        name=name,
        standard=example.standard,
        verified=False,
        nominal_frequency_hz=european.NOMINAL_HZ,
        category=name,
        elements=example.elements,
        enter_service=example.enter_service,
        ride_through=None,
    )


_PROFILES: dict[str, _Profile] = {
    profile.name: profile
    for profile in (
        *(_ieee1547(f"ieee1547-{category}", category) for category in ieee1547.CATEGORIES),
        _simulation(),
        *(_european(name, example) for name, example in european.EXAMPLES.items()),
    )
}


def names() -> tuple[str, ...]:
    """``ieee1547-I``, ``ieee1547-II``, ``ieee1547-III``, ``simulation``, ``vde-ar-n-4105``, ``g99``, ``en50549-1``."""
    return tuple(_PROFILES)


def is_verified(profile: str) -> bool:
    """Others need a person's confirmation. Raises :class:`~v2g.grid.settings.SettingsError` for an unknown profile."""
    return _known(profile).verified


def resolve(
    *,
    nominal_frequency_hz: float,
    profile: str = "",
    category: str = "III",
    confirmed: bool = False,
    trips: Mapping[str, TripChange] | None = None,
    enter_service: Mapping[str, float] | None = None,
    rated_kva: float = 0.0,
) -> GridSettings:
    """The settings in force.

    ``profile`` empty means ``ieee1547-<category>`` at 60 Hz and nothing at any other frequency: IEEE 1547 is never
    scaled. ``confirmed``: a person takes an unverified profile upon himself (``--confirm-unverified``). ``trips``
    adjusts elements by name, ``enter_service`` fields of :class:`EnterServiceSettings` by name; both within the
    profile's ranges (IEEE 1547: its tables as amended by 1547a-2020; profiles without stated ranges cannot be
    adjusted).
    ``rated_kva``: aggregate rating of the DER, for the synchronisation limits and the randomised delay.

    Raises :class:`~v2g.grid.settings.SettingsUnset` where no profile is named at a frequency other than 60 Hz, or an
    unverified one is not confirmed; :class:`~v2g.grid.settings.SettingsError` for an unknown profile (names the known),
    one of another frequency, an unknown element, and a value outside its range (names clause and range). Of several
    the first is raised; :func:`refusals` tells all.
    """
    chosen = _choose(nominal_frequency_hz, profile, category)
    refused: list[SettingsError] = []
    settings = _settings(chosen, trips or {}, enter_service or {}, rated_kva, refused)
    if refused:
        raise refused[0]
    if not chosen.verified and not confirmed:
        raise SettingsUnset(
            f"is not verified against {chosen.standard}: no power is permitted with it",
            path="grid.profile",
            value=repr(chosen.name),
            remedy="compare it with the standard and the network operator's rules, then confirm it with "
            "grid.confirm_unverified: true",
        )
    return settings


def refusals(
    *,
    nominal_frequency_hz: float,
    profile: str = "",
    category: str = "III",
    trips: Mapping[str, TripChange] | None = None,
    enter_service: Mapping[str, float] | None = None,
    rated_kva: float = 0.0,
) -> tuple[SettingsError, ...]:
    """Everything that :func:`resolve` would refuse, besides settings that are unset."""
    try:
        chosen = _choose(nominal_frequency_hz, profile, category)
    except SettingsUnset:
        return ()
    except SettingsError as error:
        return (error,)
    refused: list[SettingsError] = []
    _settings(chosen, trips or {}, enter_service or {}, rated_kva, refused)
    return tuple(refused)


def ranges(profile: str, element: str) -> tuple[Range | None, Range | None]:
    """Of the threshold and of the time, ends included; None where the profile states none.

    Raises :class:`~v2g.grid.settings.SettingsError` for an unknown profile or element.
    """
    chosen = _known(profile)
    _require_element(chosen, element)
    for row in chosen.trip_rows:
        if row.element == element:
            return row.threshold.range, row.time_s.range
    return None, None


def enter_service_ranges(profile: str) -> dict[str, Range]:
    """Of each field of :class:`EnterServiceSettings` that may be adjusted; empty where the profile states none."""
    return {field: row.range for field, row in (_known(profile).enter_service_ranges or {}).items()}


def widest(category: str) -> GridSettings:
    """IEEE 1547 with every element at the end of its range that trips last; for ride-through tests."""
    return _test_settings(
        category,
        {
            row.element: (row.threshold.hi if row.side is Side.OVER else row.threshold.lo, row.time_s.hi)
            for row in ieee1547.trip_rows(_known_category(category))
        },
    )


def islanding_test(category: str) -> GridSettings:
    """The trip settings under which unintentional islanding is tested (IEEE 1547.1)."""
    return _test_settings(category, ieee1547.ISLANDING_TEST[_known_category(category)])


def only(settings: GridSettings, elements: tuple[str, ...]) -> GridSettings:
    """The same with only these trip elements; for tests of a single one. Raises :class:`SettingsError` for another."""
    known = {setting.element: setting for setting in settings.trips.elements}
    for element in elements:
        if element not in known:
            raise SettingsError(f"{settings.profile} has no element {element!r}; its elements are {', '.join(known)}")
    kept = tuple(setting for setting in settings.trips.elements if setting.element in elements)
    return replace(settings, trips=replace(settings.trips, elements=kept))


def _test_settings(category: str, values: Mapping[str, tuple[float, float]]) -> GridSettings:
    changes = {name: {"threshold": threshold, "time_s": time_s} for name, (threshold, time_s) in values.items()}
    return resolve(nominal_frequency_hz=IEEE1547_NOMINAL_HZ, category=category, trips=changes)


def _choose(nominal_frequency_hz: float, profile: str, category: str) -> _Profile:
    at = f"{nominal_frequency_hz:g} Hz"
    fitting = [name for name, other in _PROFILES.items() if other.nominal_frequency_hz == nominal_frequency_hz]
    choice = f"choose one of {', '.join(fitting)}" if fitting else "there is no profile for this frequency"
    if not profile:
        if nominal_frequency_hz != IEEE1547_NOMINAL_HZ:
            raise SettingsUnset(
                f"no profile is named, and none is the default at {at}: IEEE 1547-2018 holds at 60 Hz and is not "
                "scaled. No power is permitted",
                path="grid.profile",
                remedy=f"{choice}, and confirm it with grid.confirm_unverified: true" if fitting else choice,
            )
        return _PROFILES[f"ieee1547-{_known_category(category)}"]
    chosen = _known(profile)
    if chosen.nominal_frequency_hz != nominal_frequency_hz:
        raise SettingsError(
            f"is written for {chosen.nominal_frequency_hz:g} Hz and is not scaled to {at}",
            path="grid.profile",
            value=repr(profile),
            remedy=choice,
        )
    return chosen


def _known(profile: str) -> _Profile:
    if profile not in _PROFILES:
        raise SettingsError(
            "is no known profile",
            path="grid.profile",
            value=repr(profile),
            remedy=f"choose one of {', '.join(names())}",
        )
    return _PROFILES[profile]


def _known_category(category: str) -> str:
    if category not in ieee1547.CATEGORIES:
        raise SettingsError(
            "is no abnormal operating performance category of IEEE 1547-2018",
            path="grid.category",
            value=repr(category),
            remedy=f"choose one of {', '.join(ieee1547.CATEGORIES)}",
        )
    return category


def _require_element(profile: _Profile, element: str) -> None:
    known = [setting.element for setting in profile.elements]
    if element not in known:
        raise SettingsError(
            f"is no trip element of {profile.name}",
            path=f"grid.trips.{element}",
            remedy=f"its elements are {', '.join(known)}",
        )


def _settings(
    profile: _Profile,
    changes: Mapping[str, TripChange],
    enter_service: Mapping[str, float],
    rated_kva: float,
    refused: list[SettingsError],
) -> GridSettings:
    adjusted: list[str] = []
    for element in changes:
        try:
            _require_element(profile, element)
        except SettingsError as error:
            refused.append(error)
    rows = {row.element: row for row in profile.trip_rows}
    elements = tuple(
        _adjust_trip(profile, setting, rows.get(setting.element), changes.get(setting.element, {}), adjusted, refused)
        for setting in profile.elements
    )
    trips = TripSettings(profile.category, profile.nominal_frequency_hz, elements)
    service = _adjust_enter_service(profile, enter_service, rated_kva, adjusted, refused)
    remarks = [] if profile.verified else [f"profile {profile.name} is not verified against {profile.standard}"]
    if profile.ride_through is not None:
        remarks += conflicts(trips, profile.ride_through)
    return GridSettings(
        profile=profile.name,
        standard=profile.standard,
        verified=profile.verified,
        nominal_frequency_hz=profile.nominal_frequency_hz,
        trips=trips,
        enter_service=service,
        ride_through=profile.ride_through,
        sync=profile.sync(rated_kva),
        adjusted=tuple(adjusted),
        remarks=tuple(remarks),
    )


def _adjust_trip(
    profile: _Profile,
    setting: TripSetting,
    row: ieee1547.TripRow | None,
    change: TripChange,
    adjusted: list[str],
    refused: list[SettingsError],
) -> TripSetting:
    values = {"threshold": setting.threshold, "time_s": setting.time_s}
    for name, value in change.items():
        path = f"grid.trips.{setting.element}.{name}"
        if name not in values:
            refused.append(_unknown_value(path, value, _TRIP_VALUES))
            continue
        if row is None:
            if value != values[name]:
                refused.append(_not_adjustable(profile, path, value, values[name], setting.clause))
            continue
        allowed = row.threshold if name == "threshold" else row.time_s
        if not allowed.allows(value):
            unit = _UNITS[row.quantity] if name == "threshold" else "s"
            refused.append(_outside(path, value, allowed, unit, row.clause))
        elif value != values[name]:
            adjusted.append(f"{setting.element}.{name} {values[name]:g} -> {value:g}")
            values[name] = value
    return replace(setting, threshold=values["threshold"], time_s=values["time_s"])


def _adjust_enter_service(
    profile: _Profile,
    changes: Mapping[str, float],
    rated_kva: float,
    adjusted: list[str],
    refused: list[SettingsError],
) -> EnterServiceSettings:
    default = profile.enter_service
    known = profile.enter_service_ranges
    values: dict[str, float] = {name: getattr(default, name) for name in ieee1547.ENTER_SERVICE}
    randomised = changes.get("random_delay_s", 0.0) > 0.0
    if randomised and known is not None:
        values["ramp_s"] = 0.0
    for name, value in changes.items():
        path = f"grid.enter_service.{name}"
        if name not in values:
            refused.append(_unknown_value(path, value, tuple(values)))
        elif known is None:
            if value != values[name]:
                refused.append(_not_adjustable(profile, path, value, values[name], default.clause))
        elif name == "random_delay_s" and randomised and rated_kva >= ieee1547.RANDOM_DELAY_BELOW_KVA:
            refused.append(
                SettingsError(
                    f"a randomised delay is for DER below {ieee1547.RANDOM_DELAY_BELOW_KVA:g} kVA, and this one has "
                    f"{rated_kva:g} kVA ({ieee1547.RANDOM_DELAY_CLAUSE})",
                    path=path,
                    value=f"{value:g}",
                    remedy="leave it out, and power rises over ramp_s",
                )
            )
        elif name == "ramp_s" and randomised:
            if value:
                refused.append(
                    SettingsError(
                        "a randomised delay takes the place of the ramp; there cannot be both "
                        f"({ieee1547.RANDOM_DELAY_CLAUSE})",
                        path=path,
                        value=f"{value:g}",
                        remedy="leave out ramp_s or random_delay_s",
                    )
                )
        elif not (known[name].allows(value) or (name == "random_delay_s" and value == 0.0)):
            unit = {"pu": "p.u.", "hz": "Hz"}.get(name.rsplit("_", 1)[-1], "s")
            refused.append(_outside(path, value, known[name], unit, default.clause))
        else:
            values[name] = value
    for name, value in values.items():
        if value != getattr(default, name):
            adjusted.append(f"enter_service.{name} {getattr(default, name):g} -> {value:g}")
    return EnterServiceSettings(**values, clause=default.clause)


def _outside(path: str, value: float, allowed: Adjustable, unit: str, clause: str) -> SettingsError:
    if allowed.lo == allowed.hi:
        return SettingsError(
            f"is fixed at {allowed.lo:g} {unit} ({clause})",
            path=path,
            value=f"{value:g}",
            remedy=f"write {allowed.lo:g}, or leave it out",
        )
    return SettingsError(
        f"is outside its range of adjustability of {allowed.lo:g} to {allowed.hi:g} {unit} ({clause})",
        path=path,
        value=f"{value:g}",
        remedy=f"write a value from {allowed.lo:g} to {allowed.hi:g}; the default is {allowed.default:g}",
    )


def _not_adjustable(profile: _Profile, path: str, value: float, default: float, clause: str) -> SettingsError:
    return SettingsError(
        f"{profile.name} states no range of adjustability; it is {default:g} ({clause})",
        path=path,
        value=f"{value:g}",
        remedy="leave it out, or choose another profile",
    )


def _unknown_value(path: str, value: float, known: tuple[str, ...]) -> SettingsError:
    return SettingsError(
        "is no value that can be set", path=path, value=f"{value:g}", remedy=f"the values are {', '.join(known)}"
    )
