"""``v2g-tool replay thermal``: a recorded load through the thermal model."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from v2g.cli.manners import progress

if TYPE_CHECKING:
    from v2g.replay.thermal_run import Row
    from v2g.replay.thermal_table import ThermalTable
    from v2g.replay.thermal_transformer import ReplayedTransformer

_NAME = "v2g-tool replay thermal"
_PROGRESS_ROWS: Final = 5_000
_EVERY_ROWS: Final = 500


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--transformer", "transformer_file", required=True, type=click.Path(path_type=Path), help="YAML: its constants."
)
@click.option("--output", "output_file", type=click.Path(path_type=Path), help="Write the CSV here. [default: stdout]")
@click.option("--plot", type=click.Path(path_type=Path), help="Write a picture here.")
@click.option(
    "--ahead",
    type=click.Choice(["file", "persistence"]),
    default="file",
    show_default=True,
    help="What headroom is told of the next 15 min: the file's next rows, or that the present row stays.",
)
@click.option("--no-headroom", is_flag=True, help="Leave P_lo_kW and P_hi_kW empty; several times faster.")
@click.option("--json", "as_json", is_flag=True, help="The summary for machines on stdout; the CSV only by --output.")
def thermal(file: Path, **options: Any) -> None:
    """Run FILE, a CSV of load and ambient, through the thermal model.

    FILE has the columns t_min (or time, ISO 8601), ambient_C, and either K (negative: reverse flow) or P_kW and Q_kvar;
    F_HL may be there. Row n holds over (t[n-1], t[n]]. The result has temperatures, ageing rates V and their sums L in
    minutes, and P_lo_kW..P_hi_kW: the V2G power permitted from that row on for fifteen minutes beside the file's load.

    \b
    The transformer file:
      mode: DIST_ONAN        # or x, y, k11, k21, k22, tau_o_min, tau_w_min; each may also correct the mode's
      dor_K: 55              # top-oil rise at rated load
      dhr_K: 23              # hot-spot over top oil at rated load
      R: 5                   # load losses / no-load losses
      S_rated_kVA: 400       # may be left out where FILE has K
    \b
    and, where wanted:
      initial: {top_oil_C: 45, h1_K: 20, h2_K: 0}       # otherwise the steady state of row 0
      limits: {hot_spot_C: 120, top_oil_C: 105, K: 1.5} # otherwise those of
      regime: normal_cyclic | long_time_emergency | short_time_emergency
      cold_oil: {full_load_above_C: -20, ramp_K: 10, K: 0.5}
      tap: {position: 9, principal: 5, end: 9, R_at_end: 6}
      power_factor: 0.95     # where FILE has P_kW and no Q_kvar
      eddy_share: 0.1        # to FILE's F_HL
      hot_ambient_losses: true
      upgraded_paper: false

    \b
    Examples:
      v2g-tool replay thermal load.csv --transformer tr.yaml --output out.csv
      v2g-tool replay thermal load.csv --transformer tr.yaml --plot out.png --no-headroom

    Exit codes: 0 replayed. 1 bad data, or an output that cannot be written. 2 not understood.
    """
    from v2g.replay.stimulus import ReplayError

    try:
        _thermal(file, **options)
    except ReplayError as error:
        print(f"{_NAME}: {error}", file=sys.stderr)
        raise SystemExit(1) from None


def _thermal(
    file: Path,
    *,
    transformer_file: Path,
    output_file: Path | None,
    plot: Path | None,
    ahead: str,
    no_headroom: bool,
    as_json: bool,
) -> None:
    _require_different(file, transformer_file, output_file, plot)
    from v2g.replay.thermal_checks import check
    from v2g.replay.thermal_plot import Points, draw
    from v2g.replay.thermal_result import COLUMNS, Summary, line_of, output, text
    from v2g.replay.thermal_run import Ahead, rows
    from v2g.replay.thermal_table import read_table
    from v2g.replay.thermal_transformer import read_transformer

    transformer = read_transformer(transformer_file)
    table = read_table(file)
    warnings = check(table, transformer)
    remarks = _remarks(table, transformer, ahead, no_headroom)
    summary = Summary(transformer.limits, upgraded_paper=transformer.upgraded_paper)
    points = Points(len(table))
    passing: Iterable[Row] = rows(table, transformer, ahead=None if no_headroom else Ahead(ahead))
    passing = summary.watch(_progress(passing, len(table)))
    if plot is not None:
        passing = points.watch(passing)
    with contextlib.ExitStack() as stack:
        if output_file is not None:
            write = stack.enter_context(output(output_file)).write
        else:
            write = _nowhere if as_json else sys.stdout.write
        write(",".join(COLUMNS) + "\n")
        for row in passing:
            write(line_of(row))
        if plot is not None:
            draw(
                plot, points.rows, transformer.limits, f"{file.name}{f', {transformer.name}' * bool(transformer.name)}"
            )
    told = summary.plain(remarks, warnings)
    if as_json:
        from v2g.cli.common import print_json

        print_json(told)
    else:
        print(text(told, file.name), file=sys.stderr if output_file is None else sys.stdout)


def _nowhere(line: str) -> int:
    return len(line)


def _require_different(file: Path, transformer_file: Path, output_file: Path | None, plot: Path | None) -> None:
    taken = [("FILE", file), ("--transformer", transformer_file)]
    for option, path in (("--output", output_file), ("--plot", plot)):
        if path is None:
            continue
        for other, used in taken:
            if _is_same(path, used):
                raise click.UsageError(f"{option} {path}: is {other} too, and would overwrite it; name another file")
        if _is_directory(path):
            raise click.UsageError(f"{option} {path}: is a directory; name a file in it")
        taken.append((option, path))


def _is_directory(path: Path) -> bool:
    with contextlib.suppress(OSError):
        return path.is_dir()
    return False


def _is_same(one: Path, other: Path) -> bool:
    with contextlib.suppress(OSError):
        if one.samefile(other):
            return True
    # Path.resolve() raises for a loop of links.
    return os.path.realpath(one) == os.path.realpath(other)


def _remarks(table: ThermalTable, transformer: ReplayedTransformer, ahead: str, no_headroom: bool) -> list[str]:
    from v2g.thermal.losses import SERVICE_AMBIENT_C

    remarks = [*transformer.remarks, *table.remarks]
    if table.p_kw and not table.q_kvar:
        remarks.append(
            f"no Q_kvar: the load has power factor {transformer.power_factor:g}, as the transformer file says"
        )
    if table.k and transformer.rated_kva is not None:
        remarks.append("only K is given: for headroom it is active power, K times S_rated_kVA")
    if table.f_hl:
        remarks.append(f"F_HL counts with an eddy share of {transformer.eddy_share:g}")
    if transformer.hot_ambient_losses and max(table.ambient_c) > SERVICE_AMBIENT_C:
        remarks.append(
            f"above {SERVICE_AMBIENT_C:g} °C ambient, where the standard's service conditions end, load losses grow as "
            "copper's resistance does; hot_ambient_losses: false takes the bare equations"
        )
    if not no_headroom and transformer.rated_kva is not None:
        remarks.append(
            "headroom knows the file's next 15 min (the last row held at the end)"
            if ahead == "file"
            else "headroom takes the load and ambient of its row to stay for 15 min"
        )
    return remarks


def _progress(rows: Iterable[Row], total: int) -> Iterator[Row]:
    """To stderr, where that is a terminal."""
    if total <= _PROGRESS_ROWS:
        yield from rows
        return
    with progress(_NAME, total) as bar:
        for number, row in enumerate(rows, 1):
            if number % _EVERY_ROWS == 0:
                bar.to(number)
            yield row
