"""What a change of each setting takes: nothing but a reload, or a restart of which services. The one place that says.

Paths as in :mod:`v2g.config.reference`: ``evses[].inverter.poll_s``. The longest one that fits counts.
"""

from __future__ import annotations

import enum
import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_PLACE: Final = re.compile(r"\[[^\]]*\]")
ORCHESTRATOR: Final = "v2g-orchestrator"
TICK: Final = "v2g-guard-tick"
WIRES: Final = "v2g-guard-wires"
QUALITY: Final = "v2g-guard-quality"
PLC: Final = "kplc-driver"
SERVICES: Final = (TICK, WIRES, QUALITY, PLC, ORCHESTRATOR)
"""In the order in which they are restarted: who is asked comes before who asks."""


class Live(enum.Enum):
    """Who takes a setting up with a reload."""

    DISPATCH = "dispatch"
    """The control cycle, with its next turn."""
    MIN_SOC = "min-SoC"
    FILTERS = "harmonic filters"
    DER = "vehicles' grid codes"
    """Handed to the inverters of vehicles at AC EVSEs, with what ``grid`` and ``functions`` say then."""
    GUARD = "the guard's settings"
    """``tick`` adopts them, and ``wires`` writes them into the inverters."""
    SENSORS = "sensors"
    """Of ``tick`` and ``wires``."""


@dataclass(frozen=True, slots=True)
class Rule:
    """``live`` None: a restart of ``services``; neither: ``command`` puts it in force."""

    path: str
    live: Live | None = None
    services: tuple[str, ...] = ()
    command: str = ""

    @property
    def words(self) -> str:
        """``reload``, ``restart of v2g-orchestrator`` or the command."""
        if self.live is not None:
            return "reload"
        *others, last = self.services or ("",)
        return self.command or f"restart of {', '.join(others)}{' and ' if others else ''}{last}"


_ALL: Final = (TICK, WIRES, QUALITY, PLC, ORCHESTRATOR)
RULES: Final = (
    Rule("site", services=(ORCHESTRATOR,)),
    Rule("transformer", services=(ORCHESTRATOR,)),
    Rule("transformer.rated_kva", services=(TICK, QUALITY, ORCHESTRATOR)),
    Rule("grid", live=Live.GUARD),
    Rule("grid.nominal_voltage_v", services=(TICK, WIRES, QUALITY, ORCHESTRATOR)),
    Rule("grid.nominal_frequency_hz", services=(TICK, WIRES, QUALITY, ORCHESTRATOR)),
    Rule("evses", services=(TICK, WIRES, PLC, ORCHESTRATOR)),
    Rule("evses[].min_soc_pct", live=Live.MIN_SOC),
    Rule("evses[].plc", services=(PLC, ORCHESTRATOR)),
    Rule("evses[].inverter.phase_offset_deg", live=Live.GUARD),
    Rule("evses[].inverter.voltage_channels", services=(TICK, ORCHESTRATOR)),
    Rule("evses[].inverter.harmonic_filter", services=(WIRES, ORCHESTRATOR)),
    Rule("evses[].inverter.harmonic_filter.threshold", live=Live.FILTERS),
    Rule("evses[].inverter.efficiency", services=(ORCHESTRATOR,)),
    Rule("evses[].inverter.accept_low_efficiency", services=(ORCHESTRATOR,)),
    Rule("evses[].connector", services=(ORCHESTRATOR,)),
    Rule("evses[].der", live=Live.DER),
    Rule("evses[].der.protocol", services=(ORCHESTRATOR,)),
    Rule("evses[].tls", services=(ORCHESTRATOR,)),
    Rule("evses[].sdp_port", services=(ORCHESTRATOR,)),
    Rule("evses[].tcp_port", services=(ORCHESTRATOR,)),
    Rule("evses[].negative_discharge_limits", services=(ORCHESTRATOR,)),
    Rule("evses[].meter_discharge_reading", services=(ORCHESTRATOR,)),
    Rule("paths", services=_ALL),
    Rule("breaker", live=Live.GUARD),
    Rule("breaker.output_path", services=(TICK,)),
    Rule("waveform", services=(TICK, QUALITY)),
    Rule("protection", live=Live.GUARD),
    Rule("protection.feeder.rated_a", services=(TICK, QUALITY, ORCHESTRATOR)),
    Rule("protection.mains_input_path", services=(TICK, ORCHESTRATOR)),
    Rule("relay", live=Live.GUARD),
    Rule("relay.feedback_path", services=(TICK, ORCHESTRATOR)),
    Rule("calibration", live=Live.GUARD),
    Rule("calibration.sensors", live=Live.SENSORS),
    Rule("functions", services=(WIRES,)),
    Rule("power_quality", services=(QUALITY, ORCHESTRATOR)),
    Rule("pki", services=(ORCHESTRATOR,)),
    Rule("firewall", command="v2g-tool firewall apply"),
    Rule("dispatch", live=Live.DISPATCH),
    Rule("dispatch.min_soc_pct", live=Live.MIN_SOC),
    Rule("dispatch.min_soc_by_vehicle", live=Live.MIN_SOC),
    Rule("dispatch.setpoint_lease_s", services=(ORCHESTRATOR,)),
    Rule("dispatch.thermal_horizon_s", services=(ORCHESTRATOR,)),
    Rule("dispatch.planning", services=(ORCHESTRATOR,)),
    Rule("secc", services=(ORCHESTRATOR,)),
    Rule("realtime", services=(TICK,)),
    Rule("sessions", services=(ORCHESTRATOR,)),
    Rule("trace", services=(ORCHESTRATOR,)),
    Rule("firmware", command="v2g-tool firmware"),
    Rule("plc", services=(PLC, ORCHESTRATOR)),
    Rule("control", services=(TICK, WIRES, PLC, ORCHESTRATOR)),
    Rule("utility", services=(ORCHESTRATOR,)),
    Rule("mesh", services=(ORCHESTRATOR,)),
    Rule("heartbeat", services=(ORCHESTRATOR,)),
    Rule("metrics", services=(ORCHESTRATOR,)),
    Rule("history", services=(ORCHESTRATOR,)),
    Rule("interlocks", live=Live.SENSORS),
    Rule("harmonic_filter", live=Live.FILTERS),
    Rule("sensor_map", live=Live.SENSORS),
    Rule("schema_version", command="v2g-config migrate"),
)
_BY_PATH: Final = {rule.path: rule for rule in RULES}


def rule_for(path: str) -> Rule:
    """The rule of a setting: ``evses[US*V2G*E1].tls`` and ``evses[0].tls`` are ``evses[].tls``.

    Raises KeyError for a section that the table does not have.
    """
    return _rule(without_places(path))


@functools.cache
def _rule(path: str) -> Rule:
    wanted = path
    while wanted:
        if (rule := _BY_PATH.get(wanted)) is not None:
            return rule
        wanted = wanted.rpartition(".")[0] if not wanted.endswith("[]") else wanted.removesuffix("[]")
    raise KeyError(path)


def without_places(path: str) -> str:
    """``evses[US*V2G*E1].inverter`` -> ``evses[].inverter``."""
    return _PLACE.sub("[]", path) if "[" in path else path


_WITHOUT_RELOAD: Final = {Live.GUARD: (TICK,), Live.SENSORS: (TICK, WIRES)}


def to_restart(rules: Iterable[Rule], *, reload: bool = True) -> tuple[str, ...]:
    """The services that ``rules`` name together, in the order in which they are restarted. ``reload`` false: no daemon
    runs that could be asked for one."""
    named: set[str] = set()
    for rule in rules:
        if rule.live is None:
            named |= set(rule.services)
        elif not reload:
            named |= set(_WITHOUT_RELOAD.get(rule.live, (ORCHESTRATOR,)))
    return tuple(service for service in SERVICES if service in named)
