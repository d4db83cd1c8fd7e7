"""The daemon's answers as text for people. No sign is ever shown: the words charge and discharge are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from v2g.cli.render_der import der_parts
from v2g.cli.render_timing import timing_parts
from v2g.cli.tables import table as table
from v2g.control.guard_words import block_words, interlock_words, lost_words, operation_words, trip_remedy, trip_words
from v2g.control.messages import (
    DeviceLine,
    EvseLine,
    GuardLine,
    OrderLine,
    StatusResult,
    TransformerLine,
)
from v2g.units import format_power

_UNKNOWN = "?"
_PERMITS = {
    "granted": "energy may flow",
    "starting": "no energy yet: the guard is starting",
    "waveform_stale": "no energy: the waveform buffer is stale",
    "out_of_window": "no energy: voltage or frequency is outside the enter-service window",
    "enter_service_delay": "no energy yet: waiting out the enter-service delay",
    "tripped": "no energy: TRIPPED",
    "breaker_open": "no energy: the breaker is open, or its feedback is unknown",
    "no_settings": "no energy: there are no grid settings in force, see v2g-tool grid",
    "permit_off": "no energy: permit service is withdrawn; give it back with v2g-control permit on",
    "relay_open": "no energy: the hardware relay is open",
    "breaker_failed": "no energy: THE BREAKER FAILED TO OPEN, contactors are open in its place",
    "testing": "no energy: a relay test runs",
    "not_synchronous": "no energy: the inverter side is live and not in step with the grid",
    "interlock": "no energy",
    "lockout": "no energy: LOCKED OUT",
    "guard_stale": "no energy: the guard (v2g-guard-tick) does not answer",
}


def flow(power_w: float | None) -> str:
    """-5000.0 -> ``discharge 5.00 kW``."""
    if power_w is None:
        return _UNKNOWN
    if abs(power_w) < 0.5:
        return "0 W"
    return f"{'charge' if power_w > 0 else 'discharge'} {format_power(abs(power_w))}"


def span(seconds: float) -> str:
    """7384.2 -> ``2 h 3 min``; below ten minutes with seconds, from two days on ``2 d 1 h``."""
    whole = max(0, round(seconds))
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    if hours >= 48:
        return f"{hours // 24} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes} min"
    if minutes >= 10 or (minutes and not rest):
        return f"{minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def orders_text(orders: Sequence[OrderLine]) -> str:
    if not orders:
        return "no orders"
    rows = (
        (
            str(order.order_id),
            order.mode,
            format_power(order.power_w) if order.mode in ("charge", "discharge") else "",
            flow(order.granted_w) if not order.begins_in_s else "",
            order.evse_id or "all",
            f"in {span(order.begins_in_s)}" if order.begins_in_s else "now",
            span(order.remaining_s),
            order.by,
        )
        for order in orders
    )
    return table(("ORDER", "MODE", "POWER", "GRANTED", "EVSE", "BEGINS", "LEFT", "BY"), rows)


def evses_text(evses: Sequence[EvseLine]) -> str:
    rows = (
        (
            evse.evse_id,
            evse.kind,
            evse.session.vehicle if evse.session else evse.paused,
            evse.session.state if evse.session else "paused" if evse.paused else "free",
            _UNKNOWN
            if evse.session and evse.session.soc_pct is None
            else f"{evse.session.soc_pct} %"
            if evse.session
            else "",
            flow(evse.power_w),
            flow(evse.granted_w),
            evse.fault or evse.bound_by or "",
        )
        for evse in evses
    )
    return table(("EVSE", "KIND", "VEHICLE", "STATE", "SOC", "MEASURED", "GRANTED", "BOUND BY / FAULT"), rows)


def status_text(status: StatusResult) -> str:
    """``v2g-control status``: what an operator needs to dispatch."""
    parts = [
        _headline(status),
        f"grid         {guard_sentence(status.guard)}",
        *(f"{name:<12} {value}" for name, value in guard_facts(status.guard)),
        f"transformer  {_transformer_sentence(status.transformer)}",
        "",
        evses_text(status.evses),
        "",
        orders_text(status.orders),
    ]
    return "\n".join([*parts, *_problems(status)])


def tool_status_text(status: StatusResult) -> str:
    """``v2g-tool status``: the installation, its sensors and its devices."""
    transformer, guard = status.transformer, status.guard
    facts = [
        (
            "load",
            _power(transformer.load_w) + (f" (K = {transformer.k_pu:.2f})" if transformer.k_pu is not None else ""),
        ),
        ("base load", _power(transformer.base_load_w)),
        ("top oil", _degrees(transformer.top_oil_c)),
        ("hot spot", _degrees(transformer.hot_spot_c)),
        ("ambient", _degrees(transformer.ambient_c)),
        ("V2G limits", _limits(transformer)),
    ]
    state = [
        ("permit", guard_sentence(guard)),
        ("settings", guard.profile or "none in force"),
        ("voltage", _voltages(guard)),
        ("frequency", _frequency(guard)),
        ("currents", _currents(guard)),
        ("breaker", _position(guard.breaker_closed)),
        ("relay", _position(guard.relay_closed)),
        ("mains", {True: "present", False: "LOST", None: "no loss-of-mains input"}[guard.mains_present]),
        ("interlocks", _interlocks(guard)),
        ("angle", _angles(guard)),
        *guard_facts(guard),
        ("tick", _alive(guard.tick_alive) + ("" if guard.realtime else ", without real-time priority")),
        ("wires", _alive(guard.wires_alive)),
    ]
    parts = [_headline(status), "", "TRANSFORMER", _facts(facts)]
    parts += [f"  note: {note}" for note in transformer.notes]
    parts += ["", "GUARD", _facts(state), "", *_output_parts(status.evses)]
    parts += [*der_parts(status.evses), *timing_parts(status)]
    parts += ["", _devices(status.devices)]
    return "\n".join([*parts, *_problems(status)])


def guard_sentence(guard: GuardLine) -> str:
    text = _PERMITS.get(guard.permit, f"no energy: {guard.permit}")
    if guard.permit == "tripped":
        tripped = trip_words(guard.trip, guard.trip_value, guard.trip_unit, guard.trip_phase)
        text += f" by {tripped}; {trip_remedy(guard.trip)}: v2g-control trip reset"
    elif guard.permit == "lockout":
        text += f" by {guard.locked_by}; who locked takes his lock away: v2g-tool lockout off"
    elif guard.permit == "interlock":
        lost = lost_words(name for name, position in guard.interlocks.items() if position == "unknown")
        text += f": {lost}; check its wiring and the driver of the input" if lost else ": an interlock is open"
    elif guard.permit == "enter_service_delay":
        text += f", {span(guard.enter_service_remaining_s)} left"
    elif guard.permit == "granted" and (doing := operation_words(guard.operation)):
        text = doing if guard.operation in ("momentary_cessation", "cease") else f"{text}; {doing}"
    if not guard.wires_alive:
        text += "; v2g-guard-wires does not answer"
    return text


def guard_facts(guard: GuardLine) -> list[tuple[str, str]]:
    """What the guard takes or refuses besides its permit; empty while that is nothing."""
    facts = [
        ("refused", f"{'new discharge' if name == 'new_discharge' else 'discharge'}: {words.what}; {words.remedy}")
        for name, words in ((name, block_words(name)) for name in guard.blocks)
    ]
    if guard.permit == "granted" and guard.service_fraction < 1.0:
        facts.append(("ramp", f"{100.0 * guard.service_fraction:.0f} % of rated power after entering service"))
    shares = (("charge", guard.curtail_charge), ("discharge", guard.curtail_discharge))
    facts += [("curtailed", f"{name} to {100.0 * share:.0f} %: rated current") for name, share in shares if share < 1.0]
    for name, position in guard.interlocks.items():
        if position == "open" and guard.trip != name.upper():
            facts.append(("interlock", f"{interlock_words(name).what}: {interlock_words(name).remedy}"))
        elif position == "unknown" and guard.permit != "interlock":
            facts.append(("interlock", lost_words((name,))))
    if guard.locked_by and guard.permit != "lockout":
        facts.append(("lockout", f"the V2G breaker is locked out by {guard.locked_by}"))
    if guard.trip and guard.permit == "lockout":
        tripped = trip_words(guard.trip, guard.trip_value, guard.trip_unit, guard.trip_phase)
        facts.append(("tripped", f"by {tripped}; {trip_remedy(guard.trip)}: v2g-control trip reset"))
    if not guard.permit_service and guard.permit != "permit_off":
        facts.append(("permit off", "permit service is withdrawn: v2g-control permit on"))
    return facts


def _headline(status: StatusResult) -> str:
    parts = [status.site, f"v2g-orchestrator {status.version}", f"up {span(status.uptime_s)}"]
    if status.simulation:
        parts.append("SIMULATION")
    if not status.ready:
        parts.append("NOT READY")
    return " · ".join(parts)


def _transformer_sentence(line: TransformerLine) -> str:
    return f"load {_power(line.load_w)}, hot spot {_degrees(line.hot_spot_c)}; vehicles may {_limits(line)}"


def _limits(line: TransformerLine) -> str:
    discharge, charge = max(0.0, -line.discharge_limit_w), max(0.0, line.charge_limit_w)
    return f"discharge {format_power(discharge)}, charge {format_power(charge)} ({line.limit_source})"


def _problems(status: StatusResult) -> list[str]:
    return ["", "PROBLEMS", *(f"  {problem}" for problem in status.problems)] if status.problems else []


def _output_parts(evses: Sequence[EvseLine]) -> list[str]:
    """DC and AC EVSEs by themselves, as far as there are any."""
    ac = [evse for evse in evses if evse.kind == "AC"]
    dc = [evse for evse in evses if evse.kind != "AC"]
    parts = ["DC OUTPUTS", _outputs(dc)] if dc or not ac else []
    if ac:
        parts += ["", "AC EVSES", _ac_evses(ac)] if parts else ["AC EVSES", _ac_evses(ac)]
    return parts


def _ac_evses(evses: Sequence[EvseLine]) -> str:
    rows = (
        (
            evse.evse_id,
            f"{evse.interface}:{evse.tcp_port}",
            evse.tls,
            _each(evse.ac.voltage_v[: evse.ac.phases], "V") if evse.ac else _UNKNOWN,
            f"{_each(evse.ac.current_a[: evse.ac.phases], 'A')} on {evse.ac.rotation}" if evse.ac else _UNKNOWN,
            {True: "closed", False: "open", None: _UNKNOWN}[evse.contactors_closed],
            (evse.ac.pilot if evse.ac else "") or _UNKNOWN,
            _energies(evse),
            flow(evse.power_w),
            flow(evse.setpoint_w),
            evse.fault or "",
        )
        for evse in evses
    )
    head = (
        "EVSE", "LISTENS ON", "TLS", "VOLTAGE", "CURRENT", "CONTACTOR", "PILOT", "CHARGED / DISCHARGED", "MEASURED",
        "VEHICLE TOLD", "FAULT",
    )  # fmt: skip
    return table(head, rows)


def _each(values: Iterable[float | None], unit: str) -> str:
    return " / ".join(_UNKNOWN if value is None else f"{value:.1f}" for value in values) + f" {unit}"


def _energies(evse: EvseLine) -> str:
    if evse.ac is None:
        return _UNKNOWN
    energies = (evse.ac.charged_energy_wh, evse.ac.discharged_energy_wh)
    return " / ".join(_UNKNOWN if value is None else f"{value / 1000:.2f}" for value in energies) + " kWh"


def _outputs(evses: Sequence[EvseLine]) -> str:
    rows = (
        (
            evse.evse_id,
            f"{evse.interface}:{evse.tcp_port}",
            evse.tls,
            _UNKNOWN if evse.voltage_v is None else f"{evse.voltage_v:.1f} V",
            _UNKNOWN if evse.current_a is None else f"{abs(evse.current_a):.1f} A",
            {True: "closed", False: "open", None: _UNKNOWN}[evse.contactors_closed],
            flow(evse.power_w),
            flow(evse.setpoint_w),
            evse.fault or "",
        )
        for evse in evses
    )
    head = ("EVSE", "LISTENS ON", "TLS", "VOLTAGE", "CURRENT", "CONTACTORS", "MEASURED", "SET-POINT", "FAULT")
    return table(head, rows)


def _devices(devices: Sequence[DeviceLine]) -> str:
    rows = (
        (
            device.name,
            device.address,
            "online" if device.online else "OFFLINE",
            "never" if device.age_s is None else f"{device.age_s:.1f} s ago",
            device.error or "",
        )
        for device in devices
    )
    return table(("DEVICE", "ADDRESS", "STATE", "LAST ANSWER", "ERROR"), rows)


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"  {name:<12} {value}" for name, value in facts)


def _power(power_w: float | None) -> str:
    if power_w is None:
        return _UNKNOWN
    return format_power(abs(power_w)) + (" in reverse" if power_w < -0.5 else "")


def _degrees(value_c: float | None) -> str:
    return _UNKNOWN if value_c is None else f"{value_c:.1f} °C"


def _voltages(guard: GuardLine) -> str:
    return _UNKNOWN if guard.v_pu is None else " / ".join(f"{value:.3f}" for value in guard.v_pu) + " per unit"


def _frequency(guard: GuardLine) -> str:
    if guard.frequency_hz is None:
        return _UNKNOWN
    rate = "" if guard.rocof_hz_s is None else f", {guard.rocof_hz_s:+.2f} Hz/s"
    return f"{guard.frequency_hz:.3f} Hz{rate}"


def _currents(guard: GuardLine) -> str:
    parts = [
        f"{place} {' / '.join(f'{value:.1f}' for value in amps)} A"
        for place, amps in (("feeder", guard.feeder_a), ("transformer", guard.transformer_a))
        if amps is not None
    ]
    return ", ".join(parts) or _UNKNOWN


def _angles(guard: GuardLine) -> str:
    if all(angle is None for angle in guard.inverter_angle_deg):
        return f"{_UNKNOWN} (the inverter side is dead)"
    shown = (_UNKNOWN if angle is None else f"{angle:+.2f}" for angle in guard.inverter_angle_deg)
    return " / ".join(shown) + " degrees, inverter side minus grid, as measured"


def _position(closed: bool | None) -> str:
    return {True: "closed", False: "open", None: "unknown: no feedback"}[closed]


def _interlocks(guard: GuardLine) -> str:
    shown = {"healthy": "healthy", "open": "OPEN", "unknown": "UNKNOWN"}
    words = (f"{name.replace('_', ' ')} {shown.get(position, position)}" for name, position in guard.interlocks.items())
    return ", ".join(words) or "none in the sensor map"


def _alive(alive: bool) -> str:
    return "running" if alive else "NOT RUNNING"
