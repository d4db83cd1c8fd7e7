"""``v2g-tool thermal``: what the transformer can carry and why, and loading beyond normal for a stated time."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from v2g.cli.common import daemon, json_option, of_subcommand, parsed, print_json, say, socket_option
from v2g.cli.lazy import Later, LazyGroup
from v2g.cli.render_thermal import regime_text, regime_words, thermal_text
from v2g.control.messages import RegimeParams, RegimeResult, ThermalResult
from v2g.thermal.limits import LONGEST_AUTHORISATION_S, Regime
from v2g.units import format_duration, parse_duration_s

_NAME = "v2g-tool"
_REGIMES = click.Choice([regime.value for regime in Regime], case_sensitive=False)
_LATER = {
    "calibrate": Later("v2g.cli.thermal_calibrate", "calibrate", "Fit the model to what was recorded."),
    "history": Later("v2g.cli.thermal_history", "history", "The recorded minutes, EVSEs and trips as CSV."),
}


@click.group(cls=LazyGroup, later=_LATER, invoke_without_command=True)
@json_option
@socket_option
@click.pass_context
def thermal(context: click.Context, as_json: bool, socket_path: Path | None) -> None:
    """The transformer: temperatures now and ahead, headroom each way, what binds, sensors, life used.

    \b
    Examples:
      v2g-tool thermal
      v2g-tool thermal regime long_time_emergency --for 4h --reason 'T2 out of service'
      v2g-tool thermal regime normal_cyclic
      v2g-tool thermal calibrate --days 60

    Exit codes: 0 told. 1 refused. 2 not understood. 3 the daemon is not reachable.
    """
    if not of_subcommand(context, as_json, socket_path):
        with daemon(socket_path, _NAME, as_json) as client:
            answer = client.call("thermal")
        result = msgspec.convert(answer, ThermalResult)
        if as_json:
            print_json(answer)
        else:
            say(thermal_text(result))


@thermal.command()
@click.argument("name", metavar="[REGIME]", type=_REGIMES, required=False)
@click.option("--set", "option", type=_REGIMES, help="The same as REGIME.")
@click.option("--for", "duration", metavar="DURATION", help="How long an emergency is authorised: 20min, 4h, 2d.")
@click.option("--reason", default="", help="For the audit log; an emergency needs one.")
@json_option
@socket_option
def regime(
    name: str | None, option: str | None, duration: str | None, reason: str, as_json: bool, socket_path: Path | None
) -> None:
    """Show the regime of loading, or authorise another: an engineer's decision, which ends by itself.

    REGIME is normal_cyclic, or of IEC 60076-7 long_time_emergency for 14 days at most, short_time_emergency for 30 min.

    \b
    Examples:
      v2g-tool thermal regime
      v2g-tool thermal regime long_time_emergency --for 4h --reason 'T2 out of service'
      v2g-tool thermal regime normal_cyclic

    Exit codes: 0 told, or authorised. 1 refused. 2 not understood. 3 the daemon is not reachable.
    """
    if name is not None and option is not None and name != option:
        raise click.UsageError(f"{name} or {option}? Name one regime")
    chosen = name or option
    if chosen is None:
        if duration is not None or reason:
            raise click.UsageError("which regime? For example: v2g-tool thermal regime long_time_emergency --for 4h")
        _show_regime(as_json, socket_path)
        return
    params = RegimeParams(regime=chosen, duration_s=_duration_s(Regime(chosen), duration, reason), reason=reason)
    with daemon(socket_path, _NAME, as_json) as client:
        answer = client.call("thermal.regime", params)
    result = msgspec.convert(answer, RegimeResult)
    if as_json:
        print_json(answer)
    else:
        say(regime_text(result))


def _show_regime(as_json: bool, socket_path: Path | None) -> None:
    with daemon(socket_path, _NAME, as_json) as client:
        result = msgspec.convert(client.call("thermal"), ThermalResult)
    if as_json:
        print_json({"regime": result.regime, "left_s": result.regime_left_s, "by": result.regime_by})
    else:
        click.echo(regime_words(result.regime, result.regime_left_s, result.regime_by))


def _duration_s(regime: Regime, text: str | None, reason: str) -> float:
    if regime is Regime.NORMAL_CYCLIC:
        if text is not None:
            raise click.UsageError("normal_cyclic needs no --for: it holds until another regime is authorised")
        return 0.0
    if text is None:
        raise click.UsageError(f"--for is missing: how long is {regime.value} authorised? For example --for 20min")
    if not reason.strip():
        raise click.UsageError("--reason is missing: what is out of service, and who asked for it")
    duration_s = parsed(parse_duration_s, text)
    longest_s = LONGEST_AUTHORISATION_S[regime]
    if duration_s > longest_s:
        most = format_duration(longest_s)
        raise click.UsageError(f"--for {text} is too long: {regime.value} is authorised for {most} at most")
    return duration_s
