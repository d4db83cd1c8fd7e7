"""``v2g-tool harmonics``: the spectra that the guard measures, as text bars, JSON or a picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import msgspec

from v2g.cli.common import daemon, fail, json_option, print_json, say, socket_option
from v2g.cli.harmonic_filter import filter_text, share_text
from v2g.control.messages_quality import HarmonicsResult

_NAME = "v2g-tool"
_BAR = 40
_PHASES = "abc"
_NAMES = {"i": "current of the V2G feeder", "v": "voltage of the bus"}
_BASES = {"i": "rated current", "v": "the fundamental"}


def _png(context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    if path is not None and path.suffix.lower() != ".png":
        raise click.BadParameter(f"{path} does not end with .png, and a PNG is what is drawn")
    return path


@click.command()
@click.option("--phase", type=click.Choice(list(_PHASES)), help="[default: the worst of each order]")
@click.option("--quantity", type=click.Choice(["v", "i"]), help="Voltage or current. [default: both]")
@click.option(
    "--png", type=click.Path(path_type=Path, dir_okay=False), callback=_png, help="Draw it into this file, too."
)
@json_option
@socket_option
def harmonics(
    phase: str | None, quantity: str | None, png: Path | None, as_json: bool, socket_path: Path | None
) -> None:
    """Harmonics of voltage and V2G feeder current, THD and TRD, limits that are exceeded, and harmonic filters.

    Current in per cent of the feeder's rated current with the limits of IEEE 1547; voltage of its fundamental.

    \b
    Examples:
      v2g-tool harmonics --quantity=i --phase=a
      v2g-tool harmonics --png=spectrum.png

    Exit codes: 0 told. 1 nothing measured, or no picture. 2 not understood. 3 the daemon is not reachable.
    """
    with daemon(socket_path, _NAME, as_json) as client:
        answer = client.call("harmonics.show")
    result = msgspec.convert(answer, HarmonicsResult)
    quantities = (quantity,) if quantity is not None else ("i", "v")
    if as_json:
        print_json(answer)
    else:
        say(harmonics_text(result, quantities, phase))
    if result.not_measured:
        fail(_NAME, f"not measured: {result.not_measured}", 1)
    if png is not None:
        _draw(png, result, quantities, phase)
        if not as_json:
            click.echo(f"Picture: {png}")


def harmonics_text(result: HarmonicsResult, quantities: Sequence[str], phase: str | None) -> str:
    lines: list[str] = []
    if not result.not_measured:
        lines += [*_headline(result), ""]
        for quantity in quantities:
            lines += [*_bars(result, quantity, phase), ""]
    lines.append("HARMONIC FILTERS")
    lines += [filter_text(line) for line in result.filters] or [
        "  none: name a register map in evses[].inverter.harmonic_filter.map"
    ]
    return "\n".join(lines)


def spectrum(result: HarmonicsResult, quantity: str, phase: str | None) -> list[float]:
    """By order from the 2nd on; ``phase`` None: the worst."""
    orders = result.harmonics_i_pct if quantity == "i" else result.harmonics_v_pct
    return [max(order) if phase is None else order[_PHASES.index(phase)] for order in orders]


def _headline(result: HarmonicsResult) -> Iterator[str]:
    age = "" if result.age_s is None else f", {result.age_s:.1f} s old"
    frequency = "" if result.frequency_hz is None else f" of {result.frequency_hz:.2f} Hz"
    yield f"Ten cycles{frequency}{age}; to order {result.highest_harmonic} at {result.sample_rate_hz} samples a second"
    small = ", too little current to judge by" if result.thd_now is None else ""
    yield f"current  THD {_three(result.thd_i_pct)} % of the fundamental{small}"
    yield (
        f"         TRD {_three(result.trd_pct)} % of rated current, limit {result.trd_limit_pct:g} %"
        + _exceeded(max(result.trd_pct) > result.trd_limit_pct)
    )
    yield (
        f"voltage  THD {_three(result.thd_v_pct)} %, limit {result.thd_v_limit_pct:g} %"
        + _exceeded(max(result.thd_v_pct) > result.thd_v_limit_pct)
    )


def _bars(result: HarmonicsResult, quantity: str, phase: str | None) -> Iterator[str]:
    values = spectrum(result, quantity, phase)
    limits = result.limits_i_pct if quantity == "i" else ()
    which = "worst phase" if phase is None else f"phase {phase}"
    yield f"{_NAMES[quantity].upper()}, {which}, % of {_BASES[quantity]}"
    most = max(values, default=0.0)
    for order, value in enumerate(values, start=2):
        bar = "#" * (round(_BAR * value / most) if most > 0.0 else 0)
        limit = limits[order - 2] if order - 2 < len(limits) else None
        over = limit is not None and value > limit
        told = "" if limit is None else f"  limit {limit:g}"
        yield f"{order:3d} {value:7.3f}  {bar.ljust(_BAR)}{told}{_exceeded(over)}".rstrip()


def _exceeded(over: bool) -> str:
    return "  EXCEEDED" if over else ""


def _three(values: Sequence[float]) -> str:
    return " ".join(f"{value:.2f}" for value in values)


def _draw(path: Path, result: HarmonicsResult, quantities: Sequence[str], phase: str | None) -> None:
    import io

    from v2g.host.files import replace_file
    from v2g.replay.picture import new_figure
    from v2g.replay.stimulus import ReplayError

    try:
        figure = new_figure(path, height_in=4.0 * len(quantities))
    except ReplayError as error:
        fail(_NAME, str(error), 1)
    axes = figure.subplots(len(quantities), 1, squeeze=False)[:, 0]
    for axis, quantity in zip(axes, quantities, strict=True):
        values = spectrum(result, quantity, phase)
        orders = range(2, len(values) + 2)
        limits = list(result.limits_i_pct[: len(values)]) if quantity == "i" else []
        over = [bool(limits) and value > limits[at] for at, value in enumerate(values)]
        axis.bar(orders, values, color=["#c23b22" if each else "#2f6db5" for each in over])
        if limits:
            axis.step(orders, limits, where="mid", color="#333333", lw=1.0, label="limit, IEEE 1547-2018 7.3")
            axis.legend(fontsize=8)
        which = "worst phase" if phase is None else f"phase {phase}"
        axis.set(title=f"{_NAMES[quantity]}, {which}", ylabel=f"% of {_BASES[quantity]}", xlabel="order")
    thd = "too little current" if result.thd_now is None else share_text(result.thd_now)
    figure.suptitle(f"THD of the feeder's current: {thd}", fontsize=11)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=110)
    try:
        replace_file(path, picture.getvalue())
    except OSError as error:
        fail(_NAME, f"{path}: {error.strerror or error}; name a .png in a directory that can be written", 1)
