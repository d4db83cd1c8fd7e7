"""``v2g-control plan``: what is intended for the coming day, as a table by the hour, JSON or a picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from v2g.cli.common import daemon, fail, json_option, print_json, say, socket_option
from v2g.cli.render import flow, span, table
from v2g.control.messages_plan import PlanResult, PlanVehicleLine
from v2g.units import format_power

_NAME = "v2g-control"
_HOUR_S = 3600.0
_PICTURES = (".png", ".svg")


def _picture(context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    if path is not None and path.suffix.lower() not in _PICTURES:
        raise click.BadParameter(f"{path} does not end with .png or .svg, and these are what is drawn")
    return path


@click.command()
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    callback=_picture,
    help="Draw it into this file, .png or .svg, too.",
)
@json_option
@socket_option
def plan(plot: Path | None, as_json: bool, socket_path: Path | None) -> None:
    """The plan of the coming day: transformer and vehicles by the hour, and which wishes cannot be met.

    \b
    Examples:
      v2g-control plan
      v2g-control plan --plot=plan.svg

    Exit codes: 0 told. 1 there is no plan, or no picture. 2 not understood. 3 the daemon is not reachable.
    """
    with daemon(socket_path, _NAME, as_json) as client:
        answer = client.call("plan")
    result = msgspec.convert(answer, PlanResult)
    if as_json:
        print_json(answer)
    elif result.available:
        say(plan_text(result))
    if not result.available:
        fail(_NAME, f"there is no plan: {result.problem}", 1)
    if plot is not None:
        _draw(plot, result)
        if not as_json:
            click.echo(f"Picture: {plot}")


def plan_text(result: PlanResult) -> str:
    lines = [*_headline(result), "", _hours(result), "", _vehicles(result)]
    if result.relaxations:
        lines += ["", "WISHES THAT CANNOT BE MET"]
        for each in result.relaxations:
            because = f": {each.because}" if each.because else ""
            lines.append(f"  {each.evse_id or 'transformer'}  {each.words}{because}")
    if result.notes:
        lines += ["", *(f"note: {note}" for note in result.notes)]
    return "\n".join(lines)


def _headline(result: PlanResult) -> Iterator[str]:
    age = "" if result.age_s is None else f", {span(result.age_s)} old"
    reason = f" ({result.reason})" if result.reason else ""
    horizon_h = len(result.net_w) * result.step_s / _HOUR_S
    yield f"Plan of {result.times[0]}{age}{reason}, {horizon_h:.0f} h ahead, solved in {result.solve_s:.1f} s"
    hottest = max(range(len(result.hot_spot_c)), key=lambda n: result.hot_spot_c[n])
    limit = "" if result.hot_spot_limit_c is None else f" of {result.hot_spot_limit_c:.0f} °C"
    yield (
        f"hot spot at most {result.hot_spot_c[hottest]:.1f} °C{limit}, at {result.times[hottest]}; "
        f"the insulation ages by {result.loss_of_life_h:.2f} h"
    )
    if result.overload_base_k > 0.0 or result.overload_k > 0.0:
        yield (
            f"OVERLOAD: base load alone, with its margin, passes a limit by {result.overload_base_k:.1f} K; "
            f"with this plan by {result.overload_k:.1f} K"
        )
    if result.limited_by_deadline:
        yield "its deadline ended the search: a better plan may exist"
    if result.simpler:
        yield f"a simpler plan: {result.simpler}"
    if result.problem:
        yield f"no newer plan: {result.problem}"


def _hours(result: PlanResult) -> str:
    """Means of powers, highest hot-spot, stored energy at the end."""
    a_row = max(1, round(_HOUR_S / result.step_s))
    rows = []
    for n in range(0, len(result.net_w), a_row):
        part = slice(n, n + a_row)
        load_w, net_w, base_w = (_mean(series[part]) for series in (result.load_w, result.net_w, result.base_w))
        rows.append(
            (
                result.times[n],
                _downstream(base_w),
                flow(net_w),
                _downstream(load_w),
                f"{max(result.hot_spot_c[part]):.1f} °C",
                f"{result.soc_wh[part][-1] / 1e3:.1f} kWh",
            )
        )
    return table(("FROM", "BASE LOAD", "VEHICLES", "LOAD", "HOT SPOT", "STORED"), rows)


def _vehicles(result: PlanResult) -> str:
    if not result.vehicles:
        return "no vehicles"
    rows = (
        (
            vehicle.evse_id,
            vehicle.departs + (" (assumed)" if vehicle.departure_assumed else ""),
            _energy(vehicle, vehicle.energy_now_wh),
            _energy(vehicle, vehicle.energy_at_departure_wh),
            _energy(vehicle, vehicle.target_wh),
            f"{vehicle.charged_wh / 1e3:.1f} kWh",
            f"{vehicle.discharged_wh / 1e3:.1f} kWh",
        )
        for vehicle in result.vehicles
    )
    return table(("EVSE", "LEAVES", "NOW", "THEN", "WANTED", "CHARGES", "DISCHARGES"), rows)


def _energy(vehicle: PlanVehicleLine, energy_wh: float) -> str:
    if vehicle.capacity_wh is None:
        return f"{energy_wh / 1e3:.1f} kWh"
    return f"{100.0 * energy_wh / vehicle.capacity_wh:.0f} %"


def _downstream(power_w: float) -> str:
    return format_power(abs(power_w)) + (" in reverse" if power_w < -0.5 else "")


def _mean(series: tuple[float, ...]) -> float:
    return sum(series) / len(series)


def _draw(path: Path, result: PlanResult) -> None:
    import io

    from v2g.host.files import replace_file
    from v2g.replay.picture import new_figure
    from v2g.replay.stimulus import ReplayError

    try:
        figure = new_figure(path)
    except ReplayError as error:
        fail(_NAME, str(error), 1)
    power, heat, stored = figure.subplots(3, 1, sharex=True)
    hours = [n * result.step_s / _HOUR_S for n in range(len(result.net_w) + 1)]

    def steps(axis: object, series: tuple[float, ...], label: str, color: str) -> None:
        axis.stairs([value / 1e3 for value in series], hours, baseline=None, label=label, color=color)  # type: ignore[attr-defined]

    steps(power, result.load_w, "load of the transformer", "#2f6db5")
    steps(power, result.base_w, "base load", "#7a7a7a")
    steps(power, result.net_w, "vehicles, charge above 0", "#3a9a4b")
    if result.rated_va > 0.0:
        power.axhline(result.rated_va / 1e3, color="#333333", lw=0.8, ls=":", label="rated power")
    power.set(ylabel="kW")
    heat.plot(hours[1:], result.hot_spot_c, color="#c23b22", label="hot spot")
    heat.plot(hours[1:], result.top_oil_c, color="#d98c2b", label="top oil")
    for limit_c, color in ((result.hot_spot_limit_c, "#c23b22"), (result.top_oil_limit_c, "#d98c2b")):
        if limit_c is not None:
            heat.axhline(limit_c, color=color, lw=0.8, ls=":")
    heat.set(ylabel="°C")
    stored.plot(hours[1:], [energy_wh / 1e3 for energy_wh in result.soc_wh], color="#3a9a4b", label="all vehicles")
    a_mark = max(1, round(3.0 * _HOUR_S / result.step_s))
    marks = range(0, len(result.net_w), a_mark)
    stored.set(ylabel="stored, kWh", xlabel="time of day")
    stored.set_xticks([hours[n] for n in marks], [result.times[n] for n in marks])
    for axis in (power, heat, stored):
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    figure.suptitle(f"Plan of {result.times[0]}", fontsize=11)
    picture = io.BytesIO()
    figure.savefig(picture, format=path.suffix.lower()[1:], dpi=110)
    try:
        replace_file(path, picture.getvalue())
    except OSError as error:
        fail(_NAME, f"{path}: {error.strerror or error}; name a file in a directory that can be written", 1)
