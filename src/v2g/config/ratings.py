"""What EVSEs are rated for, by the configuration: power of each, and current of each phase of their feeder."""

from __future__ import annotations

from v2g.config.schema import AcEvse, Config, Evse


def charge_rated_w(evse: Evse, nominal_voltage_v: float) -> float:
    """At the site's AC. An AC EVSE gives no more than its current at the nominal voltage, line to neutral."""
    if isinstance(evse, AcEvse):
        return min(evse.max_charge_w, evse.max_current_a * nominal_voltage_v * evse.phases)
    return evse.max_charge_w


def discharge_rated_w(evse: Evse, nominal_voltage_v: float) -> float:
    """As :func:`charge_rated_w`, magnitude; 0 of an AC EVSE that may not discharge."""
    if isinstance(evse, AcEvse):
        most_w = evse.max_current_a * nominal_voltage_v * evse.phases
        return min(evse.max_discharge_w, most_w) if evse.allow_discharge else 0.0
    return evse.max_discharge_w


def phase_rated_a(config: Config) -> tuple[float, float, float]:
    """What all EVSEs draw or deliver together in phases a, b and c, A: a single-phase EVSE loads one phase with all of
    its power."""
    volts = config.grid.nominal_voltage_v
    amps = dict.fromkeys("abc", 0.0)
    for evse in config.evses:
        watts = max(charge_rated_w(evse, volts), discharge_rated_w(evse, volts))
        phases = evse.rotation[: evse.phases] if isinstance(evse, AcEvse) else "abc"
        for phase in phases:
            amps[phase] += watts / (len(phases) * volts)
    return amps["a"], amps["b"], amps["c"]
