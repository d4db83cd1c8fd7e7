"""Every value that a label of a metric may have: of the configuration, of the catalogue and of our own enumerations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from pyiso15118.events import EndReason, EnergyService
from v2g import __version__
from v2g.config.schema import Config
from v2g.config.schema_mesh import Mesh
from v2g.dispatch.orders import Mode
from v2g.grid.protection import Block
from v2g.guard.interlocks import Interlock
from v2g.guard.link import DEVICE_KINDS
from v2g.guard.status import Permit
from v2g.hardware.led import Light
from v2g.mesh.trust import Drop
from v2g.orchestrator.mesh_absent import NOT_ENTITLED
from v2g.pki.facts import ANCHOR, ISSUER, OWN, ROOT
from v2g.sessions.procedure import Phase
from v2g.sessions.turnaround import LOOP, OTHER, SETUP
from v2g.telemetry import catalogue

PERMITS: Final = tuple(permit.name.lower() for permit in Permit)
LIGHTS: Final = tuple(light.value for light in Light)
BLOCKS: Final = tuple((block.name or "").lower() for block in Block if block)
MODES: Final = tuple(mode.value for mode in Mode)
SESSION_STATES: Final = (*(phase.value for phase in Phase), "discharging")
PHASES: Final = ("a", "b", "c")
MEMBER_STATES: Final = ("present", "deaf", "absent")
LINK_STATES: Final = ("up", "down")
LEVELS: Final = ("info", "warning", "error")


def bounds_of(config: Config) -> Mapping[str, frozenset[str]]:
    """By label. All of them together bound what a scrape may have, whatever vehicles and peers say."""
    sets: dict[str, Iterable[str]] = {
        "version": (__version__,),
        "log": ("comms", "power_quality", "audit", "daemon"),
        "level": LEVELS,
        "code": (entry.code for entry in catalogue.ENTRIES),
        "directory": ("run", "state", "log"),
        "profile": ("strict", "compat"),
        "use": (OWN, ISSUER, ROOT, ANCHOR),
        "state": (*LIGHTS, *SESSION_STATES, *MEMBER_STATES, *LINK_STATES),
        "reason": (*PERMITS, *(reason.value for reason in EndReason), *(drop.value for drop in Drop), NOT_ENTITLED),
        "process": ("tick", "wires"),
        "interlock": Interlock(-1).names,
        "block": BLOCKS,
        "direction": ("charge", "discharge"),
        "phase": PHASES,
        "quantity": ("voltage", "current"),
        "kind": DEVICE_KINDS,
        "evse": ("", *(evse.id for evse in config.evses)),
        "place": ("top_oil", "hot_spot", "ambient"),
        "mode": MODES,
        "service": (SETUP, *(service.name for service in EnergyService)),
        "stage": (LOOP, OTHER),
        "way": ("import", "export", "sent", "received"),
        "member": _members(config.mesh),
    }
    return {name: frozenset(values) for name, values in sets.items()}


def _members(mesh: Mesh | None) -> Iterator[str]:
    if mesh is None:
        return
    for member in (*mesh.members, *(mesh.north.members if mesh.north is not None else ())):
        yield member.id
