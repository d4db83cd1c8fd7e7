"""``v2g-tool set-harmonic-filter``: the THD above which the inverters' harmonic filters are moved."""

from __future__ import annotations

import math
from pathlib import Path

import click
import msgspec

from v2g.cli.common import daemon, json_option, print_json, say, socket_option
from v2g.cli.completion import complete_evse
from v2g.cli.quantities import Quantity
from v2g.control.messages_quality import FilterLine, HarmonicFilterParams, HarmonicFilterResult
from v2g.guard.harmonic_control import THRESHOLD_RANGE

_NAME = "v2g-tool"


def _threshold(context: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    low, high = THRESHOLD_RANGE
    if value is None or low <= value <= high:
        return value
    meant = f"; for {value:g} % write {value / 100:g}" if math.isfinite(value) and low <= value / 100 <= high else ""
    raise click.BadParameter(f"{value:g} is outside {low:g}..{high:g}: it is a share, 0.03 is 3 %{meant}")


@click.command("set-harmonic-filter")
@click.option(
    "--threshold", type=Quantity(""), callback=_threshold, help="THD of the V2G feeder's current: 3%, or 0.03."
)
@click.option("--off", is_flag=True, help="Lift the threshold: filters go back to their normal setting.")
@click.option(
    "--evse",
    "evse_id",
    shell_complete=complete_evse,
    metavar="ID",
    help="Only the inverter of this EVSE. [default: all]",
)
@json_option
@socket_option
def set_harmonic_filter(
    threshold: float | None, off: bool, evse_id: str | None, as_json: bool, socket_path: Path | None
) -> None:
    """Set the THD above which the inverters' harmonic filters are moved, for all or for one; or lift it.

    It is kept across restarts. For all means that no inverter keeps a threshold of its own.

    \b
    Examples:
      v2g-tool --set-harmonic-filter --threshold=0.03
      v2g-tool --set-harmonic-filter --threshold=4% --evse 'US*V2G*E1'
      v2g-tool --set-harmonic-filter --off

    Exit codes: 0 set, or set already. 1 refused. 2 not understood. 3 the daemon is not reachable.
    """
    if off == (threshold is not None):
        raise click.UsageError("give --threshold=0.03 (3 %), or --off")
    with daemon(socket_path, _NAME, as_json) as client:
        answer = client.call("harmonic_filter.set", HarmonicFilterParams(threshold=threshold, evse_id=evse_id))
    if as_json:
        print_json(answer)
    else:
        say(set_text(msgspec.convert(answer, HarmonicFilterResult), threshold, evse_id))


def set_text(result: HarmonicFilterResult, threshold: float | None, evse_id: str | None) -> str:
    wanted = "no threshold" if threshold is None else f"threshold {share_text(threshold)}"
    where = "all inverters with a filter" if evse_id is None else evse_id
    head = f"set: {wanted} for {where}; kept in {result.file}" if result.changed else f"no change: {wanted} for {where}"
    now = f"not known: {result.not_measured}" if result.thd_now is None else share_text(result.thd_now)
    return "\n".join(
        [
            head,
            f"THD of the feeder's current now: {now}",
            *(filter_text(line) for line in result.filters),
            *(f"- {remark}" for remark in result.remarks),
        ]
    )


def filter_text(line: FilterLine) -> str:
    """One inverter's filter in a line."""
    what = "carrier" if line.unit == "Hz" else "filter level"
    value = "not read yet" if line.value is None else f"{line.value:g} {line.unit}".rstrip()
    parts = [
        f"  {line.evse_id}: {what} {value}" + (" (normal)" if line.value is not None and not line.active else ""),
        "no threshold" if line.threshold is None else f"threshold {share_text(line.threshold)}",
    ]
    if line.thd_before is not None:
        parts.append(f"THD {share_text(line.thd_before)} before it moved")
    if line.limited_by:
        parts.append(f"goes no further: {line.limited_by}")
    return ", ".join(parts)


def share_text(share: float) -> str:
    """0.0605 -> ``6.05 %``."""
    return f"{round(100.0 * share, 2):g} %"
