"""``v2g-tool sensors``: every channel of the sensor map, its calibration, and the map read again."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from v2g.cli.acknowledge import acknowledge_option, acknowledgement
from v2g.cli.common import daemon, json_option, of_subcommand, parsed, print_json, say, socket_option
from v2g.cli.render import table
from v2g.control.messages_sensors import (
    SensorLine,
    SensorsCalibrateParams,
    SensorsCalibrateResult,
    SensorsListResult,
    SensorsReloadResult,
)
from v2g.units import parse_quantity

_NAME = "v2g-tool"
_TIMEOUT_S = 40.0
HAZARD = (
    "the guard judges the grid, and limits the transformer's load, by what this channel measures. With a wrong\n"
    "reference both are wrong by as much. Instruments on live parts: by a qualified person only."
)


@click.group(invoke_without_command=True)
@json_option
@socket_option
@click.pass_context
def sensors(context: click.Context, as_json: bool, socket_path: Path | None) -> None:
    """Every channel: value, age, quality, source, and the factors with the file that each came from.

    \b
    Examples:
      v2g-tool sensors
      v2g-tool sensors calibrate top_oil_temp --reference 65.2C
      v2g-tool sensors reload

    Exit codes: 0 done. 1 refused. 2 not understood. 3 the daemon is not reachable.
    """
    if of_subcommand(context, as_json, socket_path):
        return
    with daemon(socket_path, _NAME, as_json) as client:
        answer = client.call("sensors.list")
    if as_json:
        print_json(answer)
    else:
        say(sensors_text(msgspec.convert(answer, SensorsListResult)))


@sensors.command("reload")
@json_option
@socket_option
def reload_sensors(as_json: bool, socket_path: Path | None) -> None:
    """Read configuration and sensor map again, without a restart.

    They are checked first: with any mistake nothing is changed.

    \b
    Examples:
      v2g-tool sensors reload

    Exit codes: 0 in force. 1 refused. 2 not understood. 3 the daemon is not reachable.
    """
    with daemon(socket_path, _NAME, as_json, _TIMEOUT_S) as client:
        answer = client.call("sensors.reload")
    if as_json:
        print_json(answer)
    else:
        result = msgspec.convert(answer, SensorsReloadResult)
        click.echo(f"{result.message}; guard settings {result.digest}")


@sensors.command()
@click.argument("name")
@click.option("--reference", required=True, help="What the reference instrument shows: 231.4V, 12.5A, 65.2°C.")
@acknowledge_option
@json_option
@socket_option
def calibrate(name: str, reference: str, acknowledge: str | None, as_json: bool, socket_path: Path | None) -> None:
    """Calibrate the channel NAME against a reference instrument that shows a steady value at this moment.

    The factor is written, adopted and measured again; what does not hold is taken back. A factor outside 0.9 to 1.1 is
    wiring or a wrong ratio and is refused. A qualified person has to answer for it.

    \b
    Examples:
      v2g-tool sensors calibrate top_oil_temp --reference 65.2C
      v2g-tool sensors calibrate grid_voltage_a --reference '231.4 V' --acknowledge 'A. Volta'

    Exit codes: 0 written and verified, or right already. 1 refused, nothing is changed. 2 not acknowledged, or no
    reference with a unit. 3 the daemon is not reachable.
    """
    value, unit = parsed(parse_quantity, reference)
    person = acknowledgement(acknowledge, HAZARD)
    params = SensorsCalibrateParams(name=name, reference=value, unit=unit, acknowledge=person)
    with daemon(socket_path, _NAME, as_json, _TIMEOUT_S) as client:
        answer = client.call("sensors.calibrate", params)
    if as_json:
        print_json(answer)
    else:
        say(calibration_text(msgspec.convert(answer, SensorsCalibrateResult)))


def sensors_text(result: SensorsListResult) -> str:
    head = ("SENSOR", "VALUE", "AGE", "QUALITY", "FACTOR", "SOURCE")
    lines = [table(head, map(_row, result.sensors))]
    lines += [f"{line.name}: {line.words}" for line in result.sensors if line.words]
    lines += [
        f"{line.name}: factor {line.factor:g} from {line.factor_from}, {line.calibrated_at} by {line.calibrated_by}"
        for line in result.sensors
        if line.factor_from
    ]
    lines += [
        f"{line.name}: scale {line.scale:g}, offset {line.offset:g} from {line.scale_from}"
        for line in result.sensors
        if line.scale is not None and (line.scale != 1.0 or line.offset)
    ]
    return "\n".join([*lines, *result.remarks])


def calibration_text(result: SensorsCalibrateResult) -> str:
    unit = result.unit
    if not result.changed:
        return f"{result.name} {result.before:.5g} {unit}, reference {result.reference:.5g} {unit}: {result.words}"
    row = (result.name, *(f"{value:.5g} {unit}" for value in (result.reference, result.before, result.after)))
    factors = (f"{result.factor_before:g}", f"{result.factor_after:g}")
    return "\n".join(
        (
            table(("SENSOR", "REFERENCE", "BEFORE", "AFTER", "FACTOR WAS", "FACTOR IS"), [(*row, *factors)]),
            f"written to {result.file}, adopted and measured again, {result.at} by {result.by}",
        )
    )


def _row(line: SensorLine) -> tuple[str, ...]:
    value = line.position or ("-" if line.value is None else f"{line.value:.4g} {line.unit}")
    age = "-" if line.age_s is None else f"{line.age_s:.1f} s"
    factor = "-" if line.factor is None else f"{line.factor:g}"
    return line.name, value, age, line.quality, factor, line.source
