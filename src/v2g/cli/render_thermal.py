"""The transformer's thermal state as text for people. No sign of power is ever shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from v2g.cli.render import span, table
from v2g.control.messages import RegimeResult, ThermalResult, ThermalSensorLine
from v2g.thermal.limits import HELD
from v2g.units import format_duration, format_power

_UNKNOWN: Final = "?"
_SENSORS: Final = {"top_oil_c": "top oil", "ambient_c": "ambient", "winding_c": "winding"}


def thermal_text(result: ThermalResult) -> str:
    """``v2g-tool thermal``."""
    lines = [_headline(result), "", _temperatures(result), "", *_headroom(result), "", *_sensors(result.sensors)]
    lines += ["", *_life(result), "", *_model(result)]
    if result.notes:
        lines += ["", "NOTES", *(f"  {note}" for note in result.notes)]
    return "\n".join(lines)


def regime_text(result: RegimeResult) -> str:
    """What an authorisation has led to."""
    k_limit = _limit(f"K = {result.k_limit_pu:g}", result.k_limit_source, "thermal K")
    limits = f"hot spot {result.hot_spot_limit_c:g} °C, top oil {result.top_oil_limit_c:g} °C, {k_limit}"
    end = "" if result.left_s is None else "; led back to the normal limits before it ends"
    return f"{regime_words(result.regime, result.left_s)}: {limits}{end}"


def regime_words(regime: str, left_s: float | None, by: str = "") -> str:
    """``long_time_emergency`` -> ``long-time emergency loading for 3 h 59 min more, authorised by anna``."""
    words = regime.replace("_time_", "-time ").replace("_", " ") + " loading"
    if left_s is not None:
        words += f" for {span(left_s)} more"
    return f"{words}, authorised by {by}" if by else words


def _headline(result: ThermalResult) -> str:
    regime = regime_words(result.regime, result.regime_left_s, result.regime_by)
    return f"{result.transformer}, {result.rated_va / 1e3:g} kVA · {regime}"


def _temperatures(result: ThermalResult) -> str:
    base_ahead = _power(result.ahead_base_w)
    if result.ahead_base_w is not None and result.ahead_base_margin_w is not None:
        base_ahead += f" ± {format_power(result.ahead_base_margin_w)}"
    rows = (
        (
            "hot spot",
            _degrees(result.hot_spot_c),
            _degrees(result.ahead_hot_spot_c),
            _limit(_degrees(result.hot_spot_limit_c), result.hot_spot_limit_source, "thermal hot-spot"),
        ),
        ("top oil", _degrees(result.top_oil_c), _degrees(result.ahead_top_oil_c), _degrees(result.top_oil_limit_c)),
        (
            "load",
            _power(result.load_w) + ("" if result.k_pu is None else f", K = {result.k_pu:.2f}"),
            "",
            _limit(_load_limit(result), result.k_limit_source, "thermal K"),
        ),
        ("base load", _power(result.base_load_w), base_ahead, ""),
        ("ambient", _degrees(result.ambient_c), "", ""),
    )
    return table(("", "NOW", f"IN {format_duration(result.horizon_s).upper()}", "LIMIT"), rows)


def _headroom(result: ThermalResult) -> Iterator[str]:
    yield f"HEADROOM for {format_duration(result.horizon_s)}"
    if result.base_source is not None:
        yield (
            f"  base load alone reaches a limit within the horizon ({result.base_source}): what adds to it is refused, "
            "what relieves it is permitted" + ("" if result.feasible else ", and no V2G power keeps all limits")
        )
    yield from _end("discharge", -result.lo_w, result.lo_source, result.lo_binds_in_s, result.lo_granted_in_s)
    yield from _end("charge", result.hi_w, result.hi_source, result.hi_binds_in_s, result.hi_granted_in_s)


def _end(verb: str, power_w: float, source: str, binds_in_s: float | None, granted_in_s: float | None) -> Iterator[str]:
    if power_w < 0.5:
        when = "" if granted_in_s is None else f"; may be granted in about {span(granted_in_s)}"
        yield f"  no {verb}: {source}{when}"
        return
    if source.endswith(HELD):
        yield f"  {verb} up to {format_power(power_w)}: narrowed by {source.removesuffix(HELD)}, and widens slowly"
        return
    when = "" if binds_in_s is None else f", which more would reach in {span(binds_in_s)}"
    yield f"  {verb} up to {format_power(power_w)}: bound by {source}{when}"


def _sensors(sensors: tuple[ThermalSensorLine, ...]) -> Iterator[str]:
    rows = (
        (
            _SENSORS.get(sensor.name, sensor.name),
            sensor.health if sensor.health == "ok" else sensor.health.upper(),
            "no" if sensor.value_c is None else _degrees(sensor.value_c),
            _degrees(sensor.read_c),
            span(sensor.since_s),
        )
        for sensor in sensors
    )
    yield table(("SENSOR", "HEALTH", "BELIEVED", "READS", "SINCE"), rows)
    for sensor in sensors:
        if sensor.words:
            yield f"  {sensor.words}"


def _life(result: ThermalResult) -> Iterator[str]:
    yield "LIFE USED"
    paper = "upgraded" if result.upgraded_paper else "non-upgraded"
    rate = _UNKNOWN if result.ageing_rate is None else f"{result.ageing_rate:.3g}"
    yield f"  now     {rate} times rated ageing, {paper} paper"
    budget = result.ageing_budget_h_per_day
    of = "" if budget is None else f" of {budget:g} h ({100.0 * result.ageing_today_h / budget:.0f} %)"
    yield f"  today   {result.ageing_today_h:.2f} h{of}"
    yield (
        f"  in all  {result.ageing_total_h:.1f} h in the {result.ageing_counted_h:.0f} h that were counted: "
        f"{result.life_used_pct:.3g} % of the insulation's life"
    )


def _model(result: ThermalResult) -> Iterator[str]:
    yield "MODEL"
    bias = f"{abs(result.bias_k):.1f} K {'hotter' if result.bias_k > 0 else 'cooler'} than the nameplate says"
    yield f"  top oil     {bias if abs(result.bias_k) >= 0.05 else 'as the nameplate says'}"
    yield f"  gradient    {result.gradient_factor:.2f} of the nameplate's"
    harmonics = "" if result.f_hl is None else f", harmonic loss factor {result.f_hl:.2f}"
    yield f"  load loss   {result.load_loss_factor:.2f} of the nameplate's{harmonics}"
    margin = f"{result.margin_k:.1f} K of top oil and {result.hot_spot_margin_k:.1f} K of hot spot"
    yield f"  margin      {margin} kept for what is not known"
    state = f"NOT WRITTEN: {result.history_problem}" if result.history_problem else "written"
    dropped = f", {result.history_dropped} dropped" if result.history_dropped else ""
    yield f"  history     {state}; {result.history_rows} rows since the start{dropped}, {_size(result.history_bytes)}"


def _load_limit(result: ThermalResult) -> str:
    if result.k_limit_pu is None:
        return _UNKNOWN
    return f"{format_power(result.k_limit_pu * result.rated_va).replace('W', 'VA')}, K = {result.k_limit_pu:g}"


def _limit(text: str, source: str, usual: str) -> str:
    return text if source in ("", usual) else f"{text} ({source})"


def _power(power_w: float | None) -> str:
    if power_w is None:
        return _UNKNOWN
    return format_power(abs(power_w)) + (" in reverse" if power_w < -0.5 else "")


def _degrees(value_c: float | None) -> str:
    return _UNKNOWN if value_c is None else f"{value_c:.1f} °C"


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 1e5 else f"{size_bytes / 1e3:.0f} kB"
