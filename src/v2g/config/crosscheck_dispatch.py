"""What contradicts itself in the section ``dispatch``, and in what an EVSE or a vehicle has of its own there."""

from __future__ import annotations

from collections.abc import Iterator

from v2g.config.problems import Report
from v2g.config.schema import Config
from v2g.dispatch.min_soc import MAX_VEHICLES, vehicle_id_problem

_BY_VEHICLE = "dispatch.min_soc_by_vehicle"


def check_dispatch(config: Config, report: Report) -> None:
    """Every contradiction, into ``report``."""
    most_pct = config.dispatch.max_soc_pct
    for path, value in _minima(config):
        if value > most_pct:
            report.add(
                path,
                f"{value:g}",
                f"is above dispatch.max_soc_pct ({most_pct:g} %, {report.place('dispatch.max_soc_pct')})",
                "lower it, or raise max_soc_pct",
            )
    for vehicle in config.dispatch.min_soc_by_vehicle:
        if problem := vehicle_id_problem(vehicle):
            report.add(
                f"{_BY_VEHICLE}.{vehicle[:40]!r}",
                "",
                f"is no vehicle: the name {problem}",
                "write the subject of its certificate, or its EVCCID",
            )
    count = len(config.dispatch.min_soc_by_vehicle)
    if count > MAX_VEHICLES:
        report.add(
            _BY_VEHICLE,
            f"{count} vehicles",
            f"are more than {MAX_VEHICLES}",
            "remove vehicles that no longer come; min_soc_pct of the site or an EVSE holds for all others",
        )
    planning = config.dispatch.planning
    if planning.deadline_s > planning.every_s:
        report.add(
            "dispatch.planning.deadline_s",
            f"{planning.deadline_s:g}",
            f"is above every_s ({planning.every_s:g} s): the next plan would begin before the last is given up",
            "lower it, or plan less often",
        )


def dispatch_suspicions(config: Config) -> Iterator[str]:
    """Values that look like a wrong unit."""
    for path, value in _minima(config):
        if 0 < value <= 1:
            yield f"{path} is {value:g} %; is {value * 100:g} % meant?"
    capacity_kwh = config.dispatch.assumed_capacity_kwh
    if capacity_kwh >= 2000:
        meant = f"for {capacity_kwh:g} Wh write {capacity_kwh / 1000:g}"
        yield f"dispatch.assumed_capacity_kwh is {capacity_kwh:g} kWh; {meant}"


def _minima(config: Config) -> Iterator[tuple[str, float]]:
    yield "dispatch.min_soc_pct", config.dispatch.min_soc_pct
    for position, evse in enumerate(config.evses):
        if evse.min_soc_pct is not None:
            yield f"evses[{position}].min_soc_pct", evse.min_soc_pct
    for vehicle, value in config.dispatch.min_soc_by_vehicle.items():
        yield f"{_BY_VEHICLE}.{vehicle}", value
