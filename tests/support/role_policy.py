"""Who may do what by the control socket: the policy, written down apart from the code that has to keep it."""

from __future__ import annotations

import msgspec

from v2g.clock import Clock
from v2g.config.loader import Loaded
from v2g.config.paths import run_paths
from v2g.config.schema import Config, Paths
from v2g.control.roles import Role
from v2g.control.server import ControlServer
from v2g.host.notify import Notifier
from v2g.orchestrator.main import Orchestrator

LOOK = "looks, and changes nothing"
SETTLE = "changes the installation or its settings: who knows them and answers for them"

POLICY: dict[str, tuple[Role, str]] = {
    "hello": (Role.VIEWER, "who may nothing is told so at once"),
    "subscribe": (Role.VIEWER, LOOK),
    "status": (
        Role.VIEWER,
        f"{LOOK}; names vehicles by EVCCID or certificate, as the logs do that every role may read",
    ),
    "thermal": (Role.VIEWER, LOOK),
    "thermal.course": (Role.VIEWER, LOOK),
    "plan": (Role.VIEWER, LOOK),
    "grid.settings": (Role.VIEWER, LOOK),
    "harmonics.show": (Role.VIEWER, LOOK),
    "inverter.efficiency": (Role.VIEWER, LOOK),
    "pilot.check": (Role.VIEWER, f"{LOOK}: judges readings that are there"),
    "plc": (Role.VIEWER, f"{LOOK}; names vehicles by MAC address, as comms.log does"),
    "sensors.list": (Role.VIEWER, LOOK),
    "lockout.show": (Role.VIEWER, LOOK),
    "utility.signals": (Role.VIEWER, LOOK),
    "pki.status": (Role.VIEWER, f"{LOOK}: certificates are public, keys are not shown"),
    "audit.head": (Role.VIEWER, LOOK),
    "audit.verify": (Role.VIEWER, f"{LOOK}; one at a time, with a rest behind each"),
    "mesh.show": (Role.VIEWER, f"{LOOK}; every member hears the others' loads anyway"),
    "mesh.ping": (Role.VIEWER, f"{LOOK}: at most ten small messages a second, for seconds"),
    "mesh.cap": (Role.UTILITY, "the limits of feeder and substation are the utility's"),
    "mesh.uncap": (Role.UTILITY, "the limits of feeder and substation are the utility's"),
    "meters.list": (Role.UTILITY, "readings of single customers are personal data: for who reads the meters anyway"),
    "meters.day": (Role.UTILITY, "a customer's day by minutes tells when he is at home: personal data"),
    "dispatch": (Role.UTILITY, "power within the limits that the controller keeps"),
    "cancel": (Role.UTILITY, "his own orders; those of others are for operators"),
    "utility.signal": (Role.UTILITY, "caps, floors and prices are the utility's"),
    "utility.withdraw": (Role.UTILITY, "caps, floors and prices are the utility's"),
    "trip.reset": (Role.OPERATOR, "energy may flow again after a trip: who has looked at the cause"),
    "permit.service": (Role.OPERATOR, "takes the site out of service and back"),
    "lockout.set": (Role.OPERATOR, "who works at the feeder locks it; each takes away his own lock only"),
    "min_soc.set": (Role.OPERATOR, "what customers' vehicles keep is a promise to them"),
    "preflight.show": (Role.VIEWER, f"{LOOK}; one at a time, and what was found counts for seconds"),
    "preflight.run": (Role.ENGINEER, f"{SETTLE}: lifts what the preflight refuses, or refuses anew"),
    "grid.adjust": (Role.ENGINEER, f"{SETTLE}: grid protection"),
    "pll.calibrate": (Role.ENGINEER, f"{SETTLE}; with the name of a qualified person"),
    "relay.test": (Role.ENGINEER, f"{SETTLE}: opens breaker and relay; with the name of a qualified person"),
    "discharge.test": (Role.ENGINEER, f"{SETTLE}; with the name of a qualified person"),
    "sensors.calibrate": (Role.ENGINEER, f"{SETTLE}; with the name of a qualified person"),
    "sensors.reload": (Role.ENGINEER, f"{SETTLE}: puts edited files into force"),
    "harmonic_filter.set": (Role.ENGINEER, SETTLE),
    "thermal.regime": (Role.ENGINEER, f"{SETTLE}: loads the transformer beyond its normal limits, with a reason"),
    "maintenance.begin": (Role.ENGINEER, f"{SETTLE}: ends sessions and keeps vehicles out, with a reason and a lease"),
    "maintenance.end": (Role.ENGINEER, f"{SETTLE}: lets vehicles in again"),
    "trace.list": (Role.VIEWER, f"{LOOK}; names sessions and addresses, as comms.log does"),
    "trace.start": (Role.ENGINEER, "messages hold contract certificates and identifiers of people"),
    "trace.stop": (Role.ENGINEER, "as trace.start"),
    "trace.fetch": (Role.ENGINEER, "messages hold personal data: each reader is told in the audit log"),
    "maintenance.show": (Role.VIEWER, f"{LOOK}; names vehicles as the status does"),
    "pki.reload": (Role.ENGINEER, f"{SETTLE}: puts certificates and keys into force"),
    "versions": (Role.VIEWER, LOOK),
    "firmware.note": (Role.ENGINEER, "root's command tells what it did; nobody else writes into the audit log"),
    "config.diff": (Role.VIEWER, f"{LOOK}; settings are no secrets, keys and passwords are in files of their own"),
    "config.set": (Role.ENGINEER, SETTLE),
    "config.restore": (Role.ENGINEER, SETTLE),
    "config.reload": (Role.ENGINEER, f"{SETTLE}: puts edited files into force"),
    "firewall.note": (Role.ENGINEER, "root's command tells what it did; nobody else writes into the audit log"),
}


def whole_daemon(config: Config, folder: str, clock: Clock) -> Orchestrator:
    """Made and not started: with every method that it serves."""
    paths = Paths(run_dir=folder, log_dir=f"{folder}/log", state_dir=folder)
    config = msgspec.structs.replace(config, paths=paths)
    loaded = Loaded(config=config, origin={}, config_dir=run_paths(config).run_dir)
    return Orchestrator(loaded, run_paths(config), clock, Notifier({}))


def control_of(daemon: Orchestrator) -> ControlServer:
    return daemon._control
