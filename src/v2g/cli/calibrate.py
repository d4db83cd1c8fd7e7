"""``v2g-tool calibrate-pll``: the phase error of the inverter-side transducers, measured and taken out."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from v2g.cli.acknowledge import acknowledge_option, acknowledgement
from v2g.cli.common import daemon, json_option, print_json, say, socket_option
from v2g.cli.completion import complete_evse
from v2g.cli.manners import waiting
from v2g.cli.render import table
from v2g.control.messages import PllCalibrateParams, PllCalibrateResult

_NAME = "v2g-tool"
_TIMEOUT_S = 30.0
_USUAL_S = 4.0
HAZARD = (
    "the guard will judge synchronism by this correction. With a wrong one the breaker closes out of step:\n"
    "switchgear and inverters can be destroyed. Both sides of the breaker are live while it is measured."
)


@click.command("calibrate-pll")
@click.option(
    "--evse",
    "evse_id",
    shell_complete=complete_evse,
    help="The inverter of this EVSE, by its own voltage channels. [default: the feeder's]",
)
@acknowledge_option
@json_option
@socket_option
def calibrate_pll(evse_id: str | None, acknowledge: str | None, as_json: bool, socket_path: Path | None) -> None:
    """Measure the phase between inverter side and grid with the inverters idle, and take it out.

    The breaker has to be closed and no power may flow. More than 15 degrees is a wiring mistake and is refused. A
    qualified person has to answer for it.

    \b
    Examples:
      v2g-tool --calibrate-pll
      v2g-tool calibrate-pll --evse 'US*V2G*E1' --acknowledge 'A. Volta'

    Exit codes: 0 written, adopted and verified. 1 refused, nothing is changed. 2 not acknowledged, or not understood. 3
    the daemon is not reachable.
    """
    person = acknowledgement(acknowledge, HAZARD)
    with daemon(socket_path, _NAME, as_json, _TIMEOUT_S) as client, waiting("measuring the phase", _USUAL_S):
        answer = client.call("pll.calibrate", PllCalibrateParams(evse_id=evse_id, acknowledge=person))
    if as_json:
        print_json(answer)
    else:
        say(calibration_text(msgspec.convert(answer, PllCalibrateResult)))


def calibration_text(result: PllCalibrateResult) -> str:
    columns = (result.measured_deg, result.offset_deg, result.residual_deg)
    rows = ((phase, *(_degrees(column[index]) for column in columns)) for index, phase in enumerate(("a", "b", "c")))
    return "\n".join(
        (
            table(("PHASE", "MEASURED", "OFFSET WRITTEN", "LEFT"), rows),
            f"written to {result.file}, adopted by the guard and measured again",
        )
    )


def _degrees(angle_deg: float) -> str:
    return f"{round(angle_deg, 2) + 0.0:+.2f}°"
