"""What the guard would refuse at its start, and what it runs with although somebody should know."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from v2g.config.functions import support_settings
from v2g.config.problems import Report
from v2g.config.protection import (
    FEEDER_PICKUP_PU,
    TRANSFORMER_PICKUP_PU,
    grid_refusals,
    grid_settings,
    grid_settings_if_confirmed,
    nameplate_a,
    transformer_rated_a,
)
from v2g.config.schema import Config, Curve, DcEvse, Overcurrent
from v2g.grid.ride_through import conflict
from v2g.grid.settings import GridSettings, Measured, SettingsError, SettingsUnset, Side, Timing, TripSetting
from v2g.grid.support import SupportSettings, check, enabled
from v2g.grid.trip import require_young_samples, tick_timing

RELAY_LIMIT_PU = 1.10
_DOES_NOT_START = "the guard does not start with this, and without it no power is permitted"
_OUTPUT_HELD_S = 0.5
"""The breaker's output opens by itself so long after the last refresh."""
_Q_FUNCTIONS = ("volt_var", "watt_var", "constant_pf")
_ALL_OFF = SupportSettings(frequency_droop=None)


def check_guard(config: Config, report: Report) -> None:
    refused = grid_refusals(config)
    for error in refused:
        report.add(error.path, error.value, error.reason, error.remedy or _DOES_NOT_START)
    if not refused:
        settings = grid_settings_if_confirmed(config)
        if settings is not None:
            _times(config, settings, report)
    _overcurrent("protection.feeder", config.protection.feeder, FEEDER_PICKUP_PU, report)
    _overcurrent("protection.transformer", config.protection.transformer, TRANSFORMER_PICKUP_PU, report)
    _inputs(config, report)
    _functions(config, report)
    _channels(config, report)
    lo, hi = config.power_quality.voltage_window_pu
    if lo >= hi:
        report.add(
            "power_quality.voltage_window_pu", f"[{lo:g}, {hi:g}]", "is no window", "write the lower value first"
        )


def guard_suspicions(config: Config) -> Iterator[str]:
    """For a configuration without problems."""
    try:
        yield from grid_settings(config).remarks
    except SettingsUnset as unset:
        yield str(unset)
    settings = grid_settings_if_confirmed(config)
    yield from _relay(config, settings)
    yield from _phase(config, settings)
    over = config.protection.transformer
    if transformer_rated_a(config) > nameplate_a(config) * 1.001:
        yield (
            f"protection.transformer.rated_a is {over.rated_a:g} A, more than the {nameplate_a(config):.4g} A of "
            f"{config.transformer.rated_kva:g} kVA at {config.grid.nominal_voltage_v:g} V"
        )


def _times(config: Config, settings: GridSettings, report: Report) -> None:
    opening_s = config.breaker.opening_time_s
    timing = tick_timing(opening_s, settings.nominal_frequency_hz)
    try:
        timing.require_fast_enough(settings.trips)
    except SettingsError as error:
        report.add("breaker.opening_time_s", "", str(error), f"use a faster breaker; {_DOES_NOT_START}")
        return
    longest_s = min(settings.islanding_s, settings.permit_off_s) - _OUTPUT_HELD_S
    if opening_s > longest_s:
        report.add(
            "breaker.opening_time_s",
            f"{opening_s:g}",
            f"is longer than {longest_s:g} s: its output may be held {_OUTPUT_HELD_S:g} s longer, and the DER must "
            f"cease to energise an island within {settings.islanding_s:g} s (IEEE 1547-2018 8.1.1) and within "
            f"{settings.permit_off_s:g} s of permit service being withdrawn (4.10.3)",
            f"use a faster breaker; {_DOES_NOT_START}",
        )
        return
    if not config.waveform.allow_slow:
        try:
            require_young_samples(timing, settings.trips, config.waveform.max_age_s)
        except SettingsError as error:
            report.add("waveform.max_age_s", "", str(error), _DOES_NOT_START)


def _overcurrent(path: str, section: Overcurrent, default_pickup_pu: float, report: Report) -> None:
    pickup_pu = section.pickup_pu or default_pickup_pu
    if section.instantaneous_pu <= pickup_pu:
        report.add(
            f"{path}.instantaneous_pu",
            f"{section.instantaneous_pu:g}",
            f"is not above pickup_pu ({pickup_pu:g}): the definite time would leave the inverse time no part",
            "write the larger current for the definite time",
        )


def _inputs(config: Config, report: Report) -> None:
    taken: dict[str, str] = {}
    for path, value in (
        ("waveform.buffer_path", config.waveform.buffer_path),
        ("breaker.output_path", config.breaker.output_path),
        ("protection.mains_input_path", config.protection.mains_input_path),
        ("relay.feedback_path", config.relay.feedback_path),
    ):
        if not value:
            continue
        if not Path(value).is_absolute():
            report.add(path, repr(value), "is no absolute path", "begin it with /, or leave it empty")
        elif value in taken:
            report.add(path, repr(value), f"is {taken[value]} already", "give each record a file of its own")
        taken.setdefault(value, path)


def _functions(config: Config, report: Report) -> None:
    functions = config.functions
    reactive = [name for name in _Q_FUNCTIONS if getattr(functions, name).enabled]
    for name in reactive[1:]:
        report.add(
            f"functions.{name}.enabled",
            "true",
            f"is enabled beside {reactive[0]}: each of them alone says how much reactive power flows",
            f"enable at most one of {', '.join(_Q_FUNCTIONS)}",
        )
    misshapen = {
        name
        for name in ("volt_var", "volt_watt", "watt_var")
        if not _curve(f"functions.{name}.points", getattr(functions, name), report)
    }
    settings = support_settings(functions)
    category = config.grid.profile.removeprefix("ieee1547-") or config.grid.category
    for name in sorted(enabled(settings) - misshapen):
        try:
            check(replace(_ALL_OFF, **{name: getattr(settings, name)}), category)
        except SettingsError as error:
            report.add(error.path, error.value, error.reason, error.remedy)


def _curve(path: str, curve: Curve, report: Report) -> bool:
    """Whether it is a curve at all."""
    if curve.points is None:
        return True
    found = len(report.problems)
    if len(curve.points) < 2:
        report.add(path, "", "is no curve", "write at least two pairs, as [[0.92, 0.44], [0.98, 0]]")
    for position, ((before, _), (x, _)) in enumerate(zip(curve.points, curve.points[1:], strict=False), start=1):
        if x < before:
            report.add(
                f"{path}[{position}]",
                f"[{x:g}, {curve.points[position][1]:g}]",
                f"lies before the point at {before:g}",
                "write the points with their first values ascending",
            )
    for position, (x, y) in enumerate(curve.points):
        if abs(y) > 1.0:
            report.add(
                f"{path}[{position}]",
                f"[{x:g}, {y:g}]",
                "is more than the rating: the second value is per unit",
                f"write {y / 100:g} if {y:g} % is meant" if abs(y) <= 100 else "write a value from -1 to 1",
            )
    return len(report.problems) == found


def _channels(config: Config, report: Report) -> None:
    taken: dict[str, str] = {}
    for position, evse in enumerate(config.evses):
        if not isinstance(evse, DcEvse):
            continue
        path = f"evses[{position}].inverter.voltage_channels"
        for phase, channel in enumerate(evse.inverter.voltage_channels or ()):
            if channel in taken:
                report.add(
                    f"{path}[{phase}]",
                    repr(channel),
                    f"is {taken[channel]} already",
                    "name the three channels of this inverter's own terminals, phase a first",
                )
            taken.setdefault(channel, f"{path}[{phase}]")


def _relay(config: Config, settings: GridSettings | None) -> Iterator[str]:
    relay = config.relay
    if relay.setting_pu is None:
        yield (
            "relay.setting_pu is not stated: discharge is refused. State what the hardware over-voltage relay in "
            f"series with the V2G breaker is set to, at most {RELAY_LIMIT_PU:.2f}, with relay.delay_s and "
            "relay.feedback_path"
        )
        return
    if relay.setting_pu > RELAY_LIMIT_PU:
        hint = f" ({relay.setting_pu:g} % is {relay.setting_pu / 100:g})" if relay.setting_pu > 10 else ""
        yield (
            f"relay.setting_pu is {relay.setting_pu:g}{hint}, above {RELAY_LIMIT_PU:.2f}: discharge is refused. Set "
            "the relay lower, and then write its new setting here"
        )
    if not relay.feedback_path:
        yield (
            "relay.feedback_path is empty: without the feedback of the hardware relay its failure goes unseen, and "
            "discharge is refused"
        )
    if settings is not None and settings.ride_through is not None:
        element = TripSetting(
            "the hardware relay", Measured.VOLTAGE, Side.OVER, relay.setting_pu, relay.delay_s, "", Timing.OPERATE
        )
        if words := conflict(element, settings.ride_through):
            yield (
                f"relay.delay_s: {words}; both cannot be kept: set the relay to that time, if the network operator and "
                "the protection of the installation let you"
            )


def _phase(config: Config, settings: GridSettings | None) -> Iterator[str]:
    limit_deg = config.protection.phase_limit_deg
    if settings is None:
        return
    if limit_deg is not None and limit_deg > settings.sync.dtheta_deg:
        yield (
            f"protection.phase_limit_deg is {limit_deg:g}, more than the {settings.sync.dtheta_deg:g} degrees at which "
            f"the breaker may be closed ({settings.sync.clause})"
        )
    offsets = [("calibration.phase_offset_deg", config.calibration.phase_offset_deg)] + [
        (f"evses[{position}].inverter.phase_offset_deg", evse.inverter.phase_offset_deg)
        for position, evse in enumerate(config.evses)
        if isinstance(evse, DcEvse)
    ]
    for path, offset_deg in offsets:
        worst_deg = max(offset_deg, key=abs)
        if abs(worst_deg) > (limit_deg or settings.sync.dtheta_deg):
            yield (
                f"{path} corrects {worst_deg:g} degrees, more than the limit of "
                f"{limit_deg or settings.sync.dtheta_deg:g}: that is a swapped or reversed transducer rather than its "
                "error; look at the wiring and calibrate again"
            )
