"""What the live view says about grid, transformer, headroom, orders and alarms: each some lines of a width. Pure.

No sign of power is ever shown: the words charge and discharge are.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import Final

from rich.cells import cell_len

from v2g.cli.render import guard_facts, guard_sentence, span
from v2g.cli.render_thermal import regime_words
from v2g.cli.watch_lines import BAD, DIM, GOOD, HEAD, STRONG, WARN, Line, Span, cut, flow, line, safe, wrapped
from v2g.control.messages import GuardLine, OrderLine, StatusResult, ThermalResult
from v2g.control.messages_mesh import MeshResult
from v2g.units import format_power

_UNKNOWN: Final = "?"
_NEAR_K: Final = 5.0
_LEAST_BAR: Final = 12
_LABELLED: Final = 56
"""Below so many columns temperatures need no label, nor later lines room below one."""
_SMALL_W: Final = 0.5
_TOLD_HZ_S: Final = 0.05
_GRID_FACTS: Final = ("ramp", "curtailed")
"""Of the guard's facts: the others are among the problems."""


def power_words(power_w: float | None) -> str:
    """-5000.0 -> ``discharge 5.00 kW``."""
    if power_w is None:
        return _UNKNOWN
    if abs(power_w) < _SMALL_W:
        return "0 W"
    return f"{'charge' if power_w > 0 else 'discharge'} {format_power(abs(power_w))}"


def header(status: StatusResult, time_of_day: str, width: int) -> Line:
    state = Span(" · ready", GOOD) if status.ready else Span(" · NOT READY", BAD)
    vehicles = sum(evse.session is not None for evse in status.evses)
    optional = [
        *([Span(" · SIMULATION", WARN)] if status.simulation else []),
        Span(f" · {vehicles} {'vehicle' if vehicles == 1 else 'vehicles'}"),
        *([Span(f" · heartbeat {safe(status.heartbeat)}")] if status.heartbeat else []),
        Span(f" · {safe(status.version)}, up {span(status.uptime_s)}", DIM),
    ]
    room = width - len(state.text)
    site = cut(safe(status.site), max(room, 1))
    facts = [Span(site, STRONG), state]
    room -= cell_len(site)
    if show_time := room >= len(time_of_day) + 2:
        room -= len(time_of_day) + 2
    for each in optional:
        if cell_len(each.text) <= room:
            facts.append(each)
            room -= cell_len(each.text)
    return (*facts, Span(" " * (room + 2)), Span(time_of_day)) if show_time else tuple(facts)


def grid(guard: GuardLine, width: int, most: int) -> list[Line]:
    permitted = guard.permit == "granted" and guard.wires_alive and guard.tick_alive
    facts: list[Line] = [line(Span(safe(guard_sentence(guard)), GOOD if permitted else BAD))]
    if guard.v_pu is not None:
        facts.append(line("/".join(f"{value:.3f}" for value in guard.v_pu) + " pu"))
    else:
        facts.append(line("voltage ?"))
    facts.append(line(f"{_UNKNOWN if guard.frequency_hz is None else f'{guard.frequency_hz:.3f}'} Hz"))
    facts.append(line(f"breaker {_position(guard.breaker_closed)}"))
    if guard.relay_closed is not None:
        facts.append(line(f"relay {_position(guard.relay_closed)}"))
    if guard.rocof_hz_s is not None and abs(guard.rocof_hz_s) >= _TOLD_HZ_S:
        facts.append(line(f"{guard.rocof_hz_s:+.2f} Hz/s"))
    if guard.profile:
        facts.append(line(Span(f"profile {safe(guard.profile)}", DIM)))
    facts += [line(Span(f"{name}: {safe(value)}", WARN)) for name, value in guard_facts(guard) if name in _GRID_FACTS]
    return flow("GRID", facts, width, most)


def _position(closed: bool | None) -> str:
    return {True: "closed", False: "open", None: _UNKNOWN}[closed]


def transformer(status: StatusResult, thermal: ThermalResult | None, width: int, most: int) -> list[Line]:
    here = status.transformer
    if thermal is None:
        facts = [
            line(f"hot spot {_degrees(here.hot_spot_c)}"),
            line(f"top oil {_degrees(here.top_oil_c)}"),
            line(f"load {_power(here.load_w)}"),
        ]
        return flow("TRANSFORMER" if width >= _LABELLED else "", facts, width, most)
    facts = [
        _temperature("hot spot", thermal.hot_spot_c, thermal.ahead_hot_spot_c, thermal.hot_spot_limit_c),
        _temperature("top oil", thermal.top_oil_c, thermal.ahead_top_oil_c, thermal.top_oil_limit_c),
        line(f"load {_power(thermal.load_w)}" + ("" if thermal.k_pu is None else f", K {thermal.k_pu:.2f}")),
        line(f"base {_power(thermal.base_load_w)}"),
        line(f"ambient {_degrees(thermal.ambient_c)}"),
    ]
    if thermal.regime != "normal_cyclic":
        words = regime_words(thermal.regime, thermal.regime_left_s, thermal.regime_by)
        facts.insert(0, line(Span(safe(words), WARN)))
    if thermal.ageing_rate is not None:
        facts.append(line(f"ages {thermal.ageing_rate:.2g} times rated, {thermal.ageing_today_h:.2f} h today"))
    facts += [line(Span(f"sensor {safe(s.name)} {safe(s.health)}", WARN)) for s in thermal.sensors if s.health != "ok"]
    return flow("TRANSFORMER" if width >= _LABELLED else "", facts, width, most)


def _temperature(name: str, now_c: float | None, ahead_c: float | None, limit_c: float | None) -> Line:
    text = f"{name} {_degrees(now_c)}"
    if ahead_c is not None:
        text += f" → {ahead_c:.1f}"
    if limit_c is None:
        return line(text)
    hottest = max(now_c if now_c is not None else -inf, ahead_c if ahead_c is not None else -inf)
    if hottest > limit_c:
        return line(text, Span(f" ABOVE ITS LIMIT {limit_c:g}", BAD))
    if hottest > limit_c - _NEAR_K:
        return line(text, Span(f" near its limit {limit_c:g}", WARN))
    return line(text, Span(f" of {limit_c:g}", DIM))


def headroom(status: StatusResult, thermal: ThermalResult | None, width: int, most: int) -> list[Line]:
    """The permitted interval as a bar, where V2G power is in it, then what bounds it."""
    here = status.transformer
    lo_w, hi_w = min(here.discharge_limit_w, 0.0), max(here.charge_limit_w, 0.0)
    known = [evse.power_w for evse in status.evses if evse.power_w is not None]
    now_w = sum(known) if known or not status.evses else None
    left, right = f"discharge {format_power(-lo_w)} ", f" {format_power(hi_w)} charge"
    label = "HEADROOM "
    room = width - len(label) - len(left) - len(right)
    narrow = f"dis {-lo_w / 1e3:.2f}, chg {hi_w / 1e3:.2f} kW"
    rows: list[Line] = []
    if room >= _LEAST_BAR:
        rows.append((Span(label, HEAD), Span(left), *_bar(lo_w, hi_w, now_w, room), Span(right)))
    else:
        rows.append(line(Span(label, HEAD), narrow))
    facts = [_now(now_w, lo_w, hi_w), *(_granted(thermal) if thermal is not None else ())]
    if thermal is not None and thermal.lo_source != thermal.hi_source:
        facts.append(line(f"discharge bound by {safe(thermal.lo_source)}"))
        facts.append(line(f"charge bound by {safe(thermal.hi_source)}"))
    else:
        facts.append(line(f"bound by {safe(thermal.lo_source if thermal is not None else here.limit_source)}"))
    indent = " " * (len(label) - 1) if width >= _LABELLED else ""
    return [*rows, *flow(indent, facts, width, most - 1)][:most]


def _now(now_w: float | None, lo_w: float, hi_w: float) -> Line:
    words = f"now {power_words(now_w)}"
    if now_w is not None and not lo_w - 0.02 * abs(lo_w) - 100.0 <= now_w <= hi_w + 0.02 * hi_w + 100.0:
        return line(Span(f"{words}, beyond what is permitted", BAD))
    return line(Span(words, STRONG))


def _granted(thermal: ThermalResult) -> Iterator[Line]:
    for verb, in_s in (("discharge", thermal.lo_granted_in_s), ("charge", thermal.hi_granted_in_s)):
        if in_s is not None:
            yield line(f"{verb} again in about {span(in_s)}")


def _bar(lo_w: float, hi_w: float, now_w: float | None, width: int) -> Iterator[Span]:
    """``[···━━━━━┼━━●━···]``: heavy what is permitted, ``●`` the power now, ``┼`` none."""
    inner = width - 2
    most_w = max(-lo_w, hi_w, abs(now_w or 0.0), 1.0)

    def at(power_w: float) -> int:
        return round((power_w + most_w) / (2.0 * most_w) * (inner - 1))

    begin, end, zero = at(lo_w), at(hi_w), at(0.0)
    yield Span("[")
    for position in range(inner):
        if now_w is not None and position == at(now_w):
            yield Span("●", STRONG)
        elif position == zero:
            yield Span("┼")
        elif begin <= position <= end:
            yield Span("━", GOOD)
        else:
            yield Span("·", DIM)
    yield Span("]")


def orders(lines: tuple[OrderLine, ...], width: int, most: int) -> list[Line]:
    if not lines:
        return [line(Span("ORDERS", HEAD), Span(" none", DIM))]
    rows: list[Line] = [line(Span("ORDERS", HEAD), f" {len(lines)}")]
    for order in lines[: most - 1 if len(lines) <= most - 1 else max(most - 2, 0)]:
        what = order.mode + (f" {format_power(order.power_w)}" if order.mode in ("charge", "discharge") else "")
        where = safe(order.evse_id) if order.evse_id else "all"
        granted = f"granted {power_words(order.granted_w)}"
        when = f"begins in {span(order.begins_in_s)}" if order.begins_in_s else granted
        text = f"  {order.order_id}: {what} at {where}, {when}, {span(order.remaining_s)} left, by {safe(order.by)}"
        rows.append(line(text))
    hidden = len(lines) - (len(rows) - 1)
    if hidden and most > 1:
        rows.append(line(Span(f"  and {hidden} more orders", DIM)))
    elif hidden:
        rows[0] = line(Span("ORDERS", HEAD), f" {len(lines)}: see v2g-control orders")
    return rows[:most]


def problems(status: StatusResult) -> list[str]:
    """All that is wrong, most severe first."""
    return [safe(text) for text in status.problems]


def alarms(found: list[str], width: int, most: int) -> list[Line]:
    """At most ``most`` lines. The first alarms stand in full as far as there is room for the others' beginnings."""
    if not found:
        return [line(Span("ALARMS", HEAD), Span(" none", GOOD))]
    rows: list[Line] = [line(Span(f"ALARMS {len(found)}", HEAD))]
    room = most - 1
    if room < 1:
        return [line(Span(f"ALARMS {len(found)}: ", HEAD), Span(found[0], BAD))]
    shown = min(len(found), room if len(found) <= room else max(room - 1, 1))
    spare = room - shown - (1 if shown < len(found) and room > 1 else 0)
    for number, text in enumerate(found[:shown]):
        pieces = wrapped(text, width - 2, 1 + max(spare, 0))
        spare -= len(pieces) - 1
        style = BAD if number == 0 else WARN
        for position, piece in enumerate(pieces):
            rows.append(line(Span("! " if position == 0 else "  ", style), Span(piece, style)))
    if shown < len(found) and len(rows) < most:
        rows.append(line(Span(f"  and {len(found) - shown} more alarms: v2g-control status", DIM)))
    return rows[:most]


def alarms_wish(found: list[str], width: int) -> int:
    """Lines in which all of them stand in full."""
    return 1 + sum(len(wrapped(text, width - 2, 99)) for text in found)


def _degrees(value_c: float | None) -> str:
    return _UNKNOWN if value_c is None else f"{value_c:.1f} °C"


def _power(power_w: float | None) -> str:
    if power_w is None:
        return _UNKNOWN
    return format_power(abs(power_w)) + (" in reverse" if power_w < -_SMALL_W else "")


def mesh(result: MeshResult, width: int, most: int) -> list[Line]:
    """Who of the neighbouring transformers is heard, and what they leave us."""
    heard = sum(member.present for member in result.members)
    facts = [line(Span(f"{heard} of {len(result.members)} heard", "" if heard == len(result.members) else WARN))]
    if result.problem:
        facts.insert(0, line(Span(safe(result.problem), WARN)))
    for name, limit_w, by in (
        ("import", result.import_w, result.import_by),
        ("export", result.export_w, result.export_by),
    ):
        if limit_w is not None and by:
            facts.append(line(f"{name} held to {format_power(max(0.0, limit_w))} by {safe(by)}"))
    if len(result.islands) > 1:
        facts.append(line(Span(f"{len(result.islands)} islands", WARN)))
    if result.loss_pct is not None:
        facts.append(line(f"{result.loss_pct:.1f} % lost"))
    return flow("MESH", facts, width, most)


def devices(status: StatusResult, width: int) -> list[Line]:
    """Those that do not answer; how many there are."""
    silent = [device for device in status.devices if not device.online]
    facts = [line(f"{len(status.devices) - len(silent)} of {len(status.devices)} answer")]
    for device in silent:
        age = "never" if device.age_s is None else f"for {span(device.age_s)}"
        facts.append(line(Span(f"{safe(device.name)} not heard {age}".replace("not heard never", "never heard"), WARN)))
    return flow("DEVICES", facts, width, 4)
