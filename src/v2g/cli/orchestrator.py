"""``v2g-orchestrator``: the daemon, the check of its configuration, and the simulation around it."""

from __future__ import annotations

import gc
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from v2g import __version__
from v2g.cli.daemons import config_option, run_configured
from v2g.cli.manners import run
from v2g.cli.neighbourhood_options import Asked, Neighbourhood, given_names, neighbourhood_options
from v2g.cli.quantities import Quantity
from v2g.units import QuantityError, parse_power_w

if TYPE_CHECKING:
    from v2g.simulation.vehicle_spec import VehicleSpec

_NAME = "v2g-orchestrator"
MOST_SPECS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulateOptions:
    """What ``--simulate`` was given."""

    vehicles: int
    demo: bool
    scenario: Path | None
    run_dir: Path | None
    ac_vehicles: int = 0
    specs: tuple[VehicleSpec, ...] = ()
    foreign: tuple[str, ...] = ()
    overlays: tuple[Path, ...] = ()
    plc: bool = True
    est: bool = False
    conditions: Mapping[str, float] = field(default_factory=dict)
    """What the plant starts with, where it was given."""
    neighbourhood: Neighbourhood | None = None


def _scenario(context: click.Context, parameter: click.Parameter, value: str | None) -> Path | None:
    del context, parameter
    if value is None:
        return None
    from v2g.simulation.faults import FaultError, find_scenario

    try:
        return find_scenario(value)
    except FaultError as error:
        raise click.BadParameter(str(error)) from None


def _specs(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[VehicleSpec, ...]:
    del context, parameter
    from v2g.simulation.vehicle_spec import VehicleSpecError, parse_vehicle

    try:
        return tuple(parse_vehicle(value) for value in values)
    except VehicleSpecError as error:
        raise click.BadParameter(str(error)) from None


def _base_load(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    del context, parameter
    try:
        if value is None:
            return None
        return -parse_power_w(value[1:]) if value.startswith("-") else parse_power_w(value)
    except QuantityError as error:
        raise click.BadParameter(str(error)) from None


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
@config_option
@click.option("--check-config", is_flag=True, help="Check the configuration and end: 0 when it holds, else 1.")
@click.option("--simulate", is_flag=True, help="Run this daemon and its guard against an embedded plant.")
@click.option("--vehicles", type=click.IntRange(0, 64), help="With --simulate: how many vehicles.  [default: 2]")
@click.option(
    "--ac-vehicles",
    type=click.IntRange(0, 32),
    help="With --simulate: how many more at AC EVSEs, where the vehicle inverts; every second one is single-phase.",
)
@click.option(
    "--vehicle",
    "specs",
    multiple=True,
    callback=_specs,
    metavar="KIND[,OPTION...]",
    help="With --simulate: one more vehicle. KIND is dc, mcs (megawatts) or ac; options: v2g (both ways), soc=40, "
    "capacity=60kWh, power=11kW, min-power=2kW, departs=8h (-1h: always about to leave), target=80, min-soc=20, "
    "mode=dynamic|scheduled, needs=vehicle|station, no-soc, lie-soc=90|jumps, ignore-limits, phases=1|3, slow=0.3s, "
    "hangs=4s, der=sae|iec (ac: its inverter takes the grid code). "
    "Without --vehicles there are no others.",
)
@click.option("--demo", is_flag=True, help="With --simulate: plug in, discharge 10 kW, print what was measured, end.")
@click.option(
    "--scenario",
    callback=_scenario,
    metavar="FILE|NAME",
    help="With --simulate: a file of faults, conditions and their times, or the built-in 'evening'.",
)
@click.option(
    "--thermal-speed",
    type=click.FloatRange(1.0, 600.0),
    help="With --simulate: seconds of thermal time a second, for temperatures, load history and forecast.",
)
@click.option("--ambient", "ambient_c", type=Quantity("°C"), help="With --simulate: at the start, 25°C.  [default: 25]")
@click.option(
    "--top-oil", "top_oil_c", type=Quantity("°C"), help="With --simulate: at the start, 60°C.  [default: by the load]"
)
@click.option(
    "--base-load",
    "base_load_w",
    callback=_base_load,
    help="With --simulate: of the customers; -80kW: their roofs give more than they take.  [default: 80kW]",
)
@click.option("--power-factor", type=float, help="With --simulate: of the base load.  [default: 0.95]")
@click.option(
    "--run-dir", type=click.Path(path_type=Path, file_okay=False), help="With --simulate: where its files go."
)
@click.option(
    "--foreign",
    multiple=True,
    metavar="INTERFACE:PROFILE",
    help="With --simulate: one more EVSE for a vehicle of your own; profile strict, compat or plain.",
)
@click.option(
    "--overlay",
    "overlays",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="With --simulate: a YAML file laid over the simulation's configuration.",
)
@click.option(
    "--plc/--no-plc",
    default=None,
    help="With --simulate: match our own vehicles over a simulated powerline first.  [default: --plc]",
)
@click.option(
    "--est",
    is_flag=True,
    help="With --simulate: the utility has a server (EST) that signs certificates, to provision and renew with.",
)
@neighbourhood_options
@click.pass_context
def cli(
    context: click.Context,
    config_dir: Path,
    check_config: bool,
    simulate: bool,
    vehicles: int | None,
    ac_vehicles: int | None,
    specs: tuple[VehicleSpec, ...],
    demo: bool,
    scenario: Path | None,
    run_dir: Path | None,
    foreign: tuple[str, ...],
    overlays: tuple[Path, ...],
    thermal_speed: float | None,
    ambient_c: float | None,
    top_oil_c: float | None,
    base_load_w: float | None,
    power_factor: float | None,
    plc: bool | None,
    est: bool,
    asked: Asked,
) -> None:
    """Control vehicle-to-grid power below one distribution transformer.

    \b
    Examples:
      v2g-orchestrator --simulate  # try it out: no root, no hardware
      v2g-orchestrator --simulate --demo  # plug in, discharge 10 kW, print what was measured
      v2g-orchestrator --simulate --vehicle dc,v2g,soc=40,departs=8h,target=80 --base-load 120kW
      v2g-orchestrator --check-config  # before a restart
      v2g-orchestrator --config /etc/v2g  # as systemd starts it

    Exit codes: 0 ended as asked, or the configuration holds. 1 failed, or (--check-config) it does not hold. 2 not
    understood. 78 the configuration, a certificate or a nameplate cannot be used: systemd does not try again.
    """
    conditions = {
        "thermal_speed": thermal_speed,
        "ambient_c": ambient_c,
        "top_oil_c": top_oil_c,
        "base_load_w": base_load_w,
        "power_factor": power_factor,
    }
    simulation_only: dict[str, object] = {
        "--vehicles": vehicles,
        "--ac-vehicles": ac_vehicles,
        "--vehicle": specs,
        "--demo": demo,
        "--scenario": scenario,
        "--run-dir": run_dir,
        "--foreign": foreign,
        "--overlay": overlays,
        "--thermal-speed": thermal_speed,
        "--ambient": ambient_c,
        "--top-oil": top_oil_c,
        "--base-load": base_load_w,
        "--power-factor": power_factor,
        "--plc": plc,
        "--est": est,
    }
    # --no-plc was given, too.
    given = {name: value if name != "--plc" else plc is not None for name, value in simulation_only.items()}
    around = asked.chosen(given)
    if simulate:
        if check_config:
            raise click.UsageError("--check-config and --simulate exclude each other")
        count = vehicles if vehicles is not None else 0 if specs else 2
        if demo and (ac_vehicles or specs):
            raise click.UsageError("--demo shows DC EVSEs only: leave --ac-vehicles and --vehicle out")
        if count == 0 and (demo or not (foreign or ac_vehicles or specs or around)):
            raise click.UsageError("--vehicles 0 needs --ac-vehicles, --vehicle or --foreign, and no --demo")
        if len(specs) > MOST_SPECS:
            raise click.UsageError(f"{len(specs)} times --vehicle, at most {MOST_SPECS} are possible")
        options = SimulateOptions(
            neighbourhood=around,
            vehicles=count,
            ac_vehicles=ac_vehicles or 0,
            specs=specs,
            demo=demo,
            scenario=scenario,
            run_dir=run_dir,
            foreign=foreign,
            overlays=overlays,
            est=est,
            plc=plc if plc is not None else around is None or not around.lean,
            conditions={name: value for name, value in conditions.items() if value is not None},
        )
        context.exit(_simulate(options))
    for name in given_names({**given, "--neighbourhood": around}):
        raise click.UsageError(f"{name} belongs to --simulate")
    context.exit(_check(config_dir) if check_config else _run(config_dir))


def main(argv: Sequence[str] | None = None) -> None:
    run(cli, argv, _NAME)


def _run(config_dir: Path) -> int:
    # Nothing of what a start makes is garbage: the daemon collects once, when it is ready.
    gc.disable()
    _settle_openssl()
    from v2g.orchestrator.main import run

    return run_configured(_NAME, run, config_dir)


def _settle_openssl() -> None:
    """Name our OpenSSL settings, as long as libcrypto has not read any: it does when ``ssl`` or ``hashlib`` come in.

    Profiles are not in them: each SECC context has its own lists, and what speaks to the utility's servers is free.
    """
    import pyiso15118

    settings = Path(pyiso15118.__file__).parent / "security" / "openssl_station.conf"
    os.environ.setdefault("OPENSSL_CONF", str(settings))


def _simulate(options: SimulateOptions) -> int:
    from v2g.simulation import supervisor

    return supervisor.main(options)


def _check(config_dir: Path) -> int:
    from v2g.cli.check_config import check

    return check(_NAME, config_dir)


if __name__ == "__main__":
    main()
