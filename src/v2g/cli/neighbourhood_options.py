"""What ``v2g-orchestrator --simulate`` is told of a neighbourhood: options, and which of them fit together."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

import click

from v2g.units import QuantityError, parse_power_w

MOST_NODES: Final = 400
MOST_CONTROLLERS: Final = 8
MOST_REGIONS: Final = 40
MOST_VEHICLES: Final = 64
DEFAULT_FEEDER_W: Final = 200e3


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbourhood:
    """``--neighbourhood`` and what belongs to it."""

    nodes: int
    shape: str = "line"
    feeder_w: float = DEFAULT_FEEDER_W
    substation_w: float | None = None
    regions: int = 0
    head: bool = False
    light: bool = False
    lean: bool = False
    vehicles: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The options as given; None and False: not given."""

    neighbourhood: int | None
    shape: str | None
    feeder_w: float | None
    substation_w: float | None
    regions: int | None
    head: bool
    node_vehicles: tuple[int, ...]
    light: bool
    lean: bool

    def chosen(self, others: Mapping[str, object]) -> Neighbourhood | None:
        """``others``: what else was given, by the names of the options. Raises :class:`click.UsageError`."""
        own: dict[str, object] = {
            "--shape": self.shape,
            "--feeder-limit": self.feeder_w,
            "--substation-limit": self.substation_w,
            "--regions": self.regions,
            "--head": self.head,
            "--node-vehicles": self.node_vehicles,
            "--light": self.light,
            "--lean": self.lean,
        }
        nodes = self.neighbourhood
        if nodes is None:
            for name in given_names(own):
                raise click.UsageError(f"{name} belongs to --neighbourhood")
            return None
        given = given_names(others)
        for name in ("--demo", "--foreign", "--scenario", "--vehicle", "--ac-vehicles", "--est"):
            if name in given:
                raise click.UsageError(f"{name} is for one controller: leave it out with --neighbourhood")
        if self.light:
            whole = ("--overlay", "--thermal-speed", "--ambient", "--top-oil", "--power-factor", "--plc")
            for name in (*(name for name in whole if name in given), *(["--lean"] if self.lean else [])):
                raise click.UsageError(f"{name} is for whole controllers: leave it out with --light")
        elif nodes > MOST_CONTROLLERS:
            raise click.UsageError(
                f"--neighbourhood {nodes} starts {nodes} whole controllers, at most {MOST_CONTROLLERS} are possible: "
                "add --light"
            )
        if len(self.node_vehicles) > nodes:
            raise click.UsageError(f"--node-vehicles has {len(self.node_vehicles)} numbers for {nodes} nodes")
        if self.regions is not None:
            self._check_regions(nodes, self.regions)
        return Neighbourhood(
            nodes=nodes,
            shape=self.shape or "line",
            feeder_w=self.feeder_w if self.feeder_w is not None else DEFAULT_FEEDER_W,
            substation_w=self.substation_w,
            regions=self.regions or 0,
            head=self.head,
            light=self.light,
            lean=self.lean,
            vehicles=self.node_vehicles,
        )

    def _check_regions(self, nodes: int, regions: int) -> None:
        if not self.light:
            raise click.UsageError("--regions is for light nodes: add --light")
        for name, given in (("--shape", self.shape is not None), ("--head", self.head)):
            if given:
                raise click.UsageError(f"{name} is for one flat mesh: leave it out with --regions")
        if nodes % regions or nodes // regions < 2:
            raise click.UsageError(
                f"--regions {regions} does not divide {nodes} nodes into regions of the same size, two or more in each"
            )


def neighbourhood_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Decorates a command that takes them all as one :class:`Asked`, ``asked``."""
    names = [field.name for field in fields(Asked)]

    @functools.wraps(command)
    def with_asked(*arguments: Any, **options: Any) -> Any:
        asked = Asked(**{name: options.pop(name) for name in names})
        return command(*arguments, asked=asked, **options)

    decorated: Callable[..., Any] = with_asked
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated


def given_names(options: Mapping[str, object]) -> list[str]:
    """Of options whose absence is None, False or an empty tuple."""
    return [name for name, value in options.items() if value is not None and value is not False and value != ()]


def _power(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    del context, parameter
    try:
        return None if value is None else parse_power_w(value)
    except QuantityError as error:
        raise click.BadParameter(str(error)) from None


def _counts(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, ...]:
    del context, parameter
    if value is None:
        return ()
    counts = [text.strip() for text in value.split(",")]
    if not all(text.isascii() and text.isdecimal() and int(text) <= MOST_VEHICLES for text in counts):
        raise click.BadParameter(f"{value!r}: numbers from 0 to {MOST_VEHICLES} with commas between, like 3,0,1")
    return tuple(int(text) for text in counts)


_OPTIONS = (
    click.option(
        "--neighbourhood",
        type=click.IntRange(2, MOST_NODES),
        help="With --simulate: so many controllers in a mesh, each with a plant of its own; more than "
        f"{MOST_CONTROLLERS} with --light only.",
    ),
    click.option(
        "--shape",
        type=click.Choice(("line", "ring", "tree")),
        help="With --neighbourhood: who is whose neighbour.  [default: line]",
    ),
    click.option(
        "--feeder-limit",
        "feeder_w",
        callback=_power,
        help="With --neighbourhood: what all its transformers may draw together, or feed.  [default: 200kW]",
    ),
    click.option(
        "--substation-limit",
        "substation_w",
        callback=_power,
        help="With --neighbourhood: of the substation above the feeder, or above all regions.  "
        "[default: no more than the feeders']",
    ),
    click.option(
        "--head",
        is_flag=True,
        help="With --neighbourhood: one node more, at the substation, that measures the feeder and caps it where more "
        "flows than all tell.",
    ),
    click.option(
        "--node-vehicles",
        callback=_counts,
        metavar="N,N,...",
        help="With --neighbourhood: vehicles of each controller in turn, instead of --vehicles at all.",
    ),
    click.option(
        "--light",
        is_flag=True,
        help="With --neighbourhood: nodes of mesh and balancing alone, many in one process, with simple transformers.",
    ),
    click.option(
        "--regions",
        type=click.IntRange(2, MOST_REGIONS),
        help="With --light: so many meshes with two gateways each, and a mesh of gateways above them.",
    ),
    click.option(
        "--lean",
        is_flag=True,
        help="With --neighbourhood: without v2g-guard quality and the powerline, which saves a tenth of the processor; "
        "harmonics are then not measured.",
    ),
)
