"""The looking behind ``v2g-tool preflight``: what this process sees itself, and what it asks the daemon."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec

from v2g.clock import SystemClock
from v2g.config.loader import Loaded
from v2g.config.paths import RunPaths, run_paths
from v2g.control.client import CallRefused, ControlClient, ControlError, find_socket
from v2g.control.messages_preflight import PreflightResult, PreflightShowParams
from v2g.control.roles import peer
from v2g.guard.realtime import TICK_PRIORITY
from v2g.guard.status_block import StatusReader
from v2g.host.firewall import sockets
from v2g.host.preflight import installation, network, probe, system
from v2g.host.preflight.model import Level, PreflightLine, failed, passed, warned
from v2g.host.preflight.names import ASKED, CHECKS
from v2g.orchestrator.preflight import checks, devices, own_look, trust, waveform

_TIMEOUT_S = 25.0
_MODULES = {
    "v2g-orchestrator": "v2g.cli.orchestrator",
    "v2g-guard": "v2g.cli.guard",
    "kplc-driver": "v2g.cli.kplc_driver",
}


@dataclass(slots=True)
class Report:
    """What a command shows. ``daemon``: one answered; ``refuses``: by EVSE, what it refuses discharge for."""

    lines: tuple[PreflightLine, ...]
    config_dir: str
    simulation: bool = False
    daemon: bool = False
    refuses: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Daemon:
    """``pid_uid`` None: nobody answers. ``result`` None: it cannot be asked; ``problem`` says why."""

    pid_uid: tuple[int, int] | None = None
    result: PreflightResult | None = None
    problem: str = ""
    dead: bool = False
    """A socket is there, and nobody behind it."""


def look(socket_path: Path | None, config_dir: Path | None, default_dir: Path, names: frozenset[str]) -> Report:
    """Never raises; ``names``: the checks that are wanted."""
    found = _ask(socket_path or find_socket())
    result = found.result
    if result is not None and config_dir is not None and Path(result.config_dir).absolute() != config_dir.absolute():
        found, result = _Daemon(found.pid_uid, None, f"works by {result.config_dir} and was not asked"), None
    directory = config_dir or (Path(result.config_dir) if result is not None else default_dir)
    simulation = result is not None and result.simulation
    looking = _Looking(found, names, probe.Root(), simulation)
    lines = looking.lines(directory)
    return Report(lines, str(directory), simulation, result is not None, result.refuses if result is not None else {})


def _ask(path: Path) -> _Daemon:
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probing:
            probing.settimeout(_TIMEOUT_S)
            probing.connect(str(path))
            pid, uid, _ = peer(probing)
    except OSError as error:
        return _Daemon(problem=f"{path}: {error.strerror or error}", dead=error.errno == errno.ECONNREFUSED)
    try:
        with ControlClient(path, _TIMEOUT_S, name="v2g-tool preflight") as client:
            answer = client.call("preflight.show", PreflightShowParams(fresh=True))
        return _Daemon((pid, uid), msgspec.convert(answer, PreflightResult))
    except CallRefused as error:
        return _Daemon((pid, uid), problem=f"cannot be asked: {error}")
    except (ControlError, msgspec.ValidationError) as error:
        return _Daemon((pid, uid), problem=str(error))


class _Looking:
    def __init__(self, found: _Daemon, names: frozenset[str], root: probe.Root, simulation: bool) -> None:
        self._found = found
        self._names = names
        self._root = root
        self._simulation = simulation
        self._clock = SystemClock()
        self._host = checks.Host(self._clock, root, write=found.pid_uid is None)
        self._seen: own_look.Seen | None = None

    def lines(self, config_dir: Path) -> tuple[PreflightLine, ...]:
        loaded, of_file = checks.configuration(config_dir)
        made: dict[str, checks.Check] = {
            **checks.plain_checks(self._host),
            "configuration": lambda: of_file,
            "daemon": self._daemon,
        }
        if loaded is None:
            made["capabilities"] = lambda: self._capabilities(())
        else:
            made |= self._of_site(loaded)
        if (result := self._found.result) is not None:
            made |= {name: partial(_of, result, name) for name in ASKED}
        elif loaded is None:
            lacking = [name for name in CHECKS if name not in made and name in self._names]
            made["configuration"] = lambda: (*of_file, *_unlooked(lacking))
        wanted = {name: check for name, check in made.items() if name in self._names}
        return checks.in_order(wanted, simulation=self._simulation)

    def _of_site(self, loaded: Loaded) -> dict[str, checks.Check]:
        config = loaded.config
        plc = [evse.id for evse in config.evses if evse.plc is not None]
        return {
            **checks.host_checks(config, self._host),
            "capabilities": lambda: self._capabilities(plc),
            "users": lambda: checks.users(config),
            "units": lambda: checks.units(config, self._root),
            "sockets": lambda: installation.judge_sockets(self._sockets(run_paths(config))),
            "firewall": lambda: self._firewall(loaded),
            "ports": lambda: self._ports(loaded),
            "tls": lambda: self._tls(loaded),
            "realtime": lambda: system.judge_realtime(
                system.RealtimeFacts(self._site(loaded).realtime, self._rights("v2g-guard-tick.service")), TICK_PRIORITY
            ),
            "sensors": lambda: self._sensors(loaded),
            "inverters": lambda: self._inverters(loaded),
            "relay": lambda: checks.relay(config, self._site(loaded).relay_closed),
            "waveform": lambda: devices.judge_waveform(
                waveform.look(run_paths(config).waveform, self._clock), self._site(loaded).measures
            ),
        }

    def _site(self, loaded: Loaded) -> own_look.Seen:
        """Looked at once, for all checks that need it."""
        if self._seen is None:
            self._seen = own_look.look(loaded, self._clock, wires_runs=self._wires_runs(run_paths(loaded.config)))
        return self._seen

    def _wires_runs(self, paths: RunPaths) -> bool:
        return self._process("v2g-guard", "wires") is not None or str(paths.wires_sock) in probe.listening(self._root)

    def _process(self, program: str, *words: str) -> system.ProcessFacts | None:
        return probe.process(self._root, program, *words) or probe.process(self._root, _MODULES[program], *words)

    def _rights(self, unit: str) -> system.UnitRights | None:
        return probe.unit_rights(self._root, unit)

    def _capabilities(self, plc: list[str] | tuple[()]) -> Iterator[PreflightLine]:
        pid_uid = self._found.pid_uid
        return system.judge_capabilities(
            self._process("kplc-driver"),
            self._rights("kplc-driver.service"),
            probe.process_of(self._root, pid_uid[0]) if pid_uid is not None else None,
            plc,
        )

    def _sockets(self, paths: RunPaths) -> list[installation.SocketFacts]:
        """No connection to wires.sock: it would take the orchestrator's place there."""
        heard = probe.listening(self._root)
        guard = StatusReader(paths.guard_status)
        ticks = guard.read(self._clock.monotonic_s()).permit.name != "GUARD_STALE"
        guard.close()
        control: bool | None = True if self._found.pid_uid is not None else False if self._found.dead else None
        return [
            probe.socket_file(paths.control_sock, "v2g-orchestrator", control),
            probe.socket_file(paths.wires_sock, "v2g-guard-wires", str(paths.wires_sock) in heard),
            # Its unit has a network namespace of its own, which /proc/net/unix is of.
            probe.socket_file(
                paths.tick_sock, "v2g-guard-tick", ticks or self._process("v2g-guard", "tick") is not None
            ),
            probe.socket_file(paths.plc_sock, "kplc-driver", str(paths.plc_sock) in heard),
        ]

    def _ports(self, loaded: Loaded) -> Iterator[PreflightLine]:
        config = loaded.config
        return network.judge_ports(
            checks.wanted_ports(config),
            sockets.listeners(self._root / "proc"),
            probe.interfaces(self._root, [evse.interface for evse in config.evses]),
            self._found.pid_uid,
        )

    def _firewall(self, loaded: Loaded) -> Iterator[PreflightLine]:
        from v2g.cli.firewall import status_of
        from v2g.host.firewall.nft import FirewallError
        from v2g.host.firewall.words import WordError

        if self._simulation:
            yield passed("firewall", "none in the simulation")
            return
        try:
            status = status_of(loaded.config_dir)
        except (FirewallError, WordError, OSError) as error:
            yield from network.judge_firewall("", "", None, " ".join(str(error).split()))
        else:
            yield from network.judge_firewall(status.in_force, status.configuration, status.pending_s)

    def _tls(self, loaded: Loaded) -> Iterator[PreflightLine]:
        from pyiso15118.security import TlsError
        from v2g.orchestrator.endpoints import build_endpoints
        from v2g.orchestrator.tls_report import tls_notes

        try:
            endpoints = build_endpoints(loaded.config)
        except TlsError as error:
            yield warned("tls", f"no vehicle could connect: {error}", "see certificates")
            return
        yield from trust.judge_tls(list(tls_notes(loaded.config, endpoints.in_force)))

    def _sensors(self, loaded: Loaded) -> Iterator[PreflightLine]:
        seen = self._site(loaded)
        yield from devices.judge_sensors(seen.sensors)
        if untold := [line.name for line in seen.sensors if line.quality == "not told"]:
            yield warned(
                "sensors",
                f"{len(untold)} cannot be asked for without the daemons",
                "start them: systemctl start v2g-orchestrator",
            )

    def _inverters(self, loaded: Loaded) -> Iterator[PreflightLine]:
        facts = self._site(loaded).devices
        if facts is None:
            yield warned(
                "inverters",
                "v2g-guard wires runs and holds the connections; the daemon, which would know, does not answer",
                "systemctl start v2g-orchestrator",
            )
        else:
            yield from devices.judge_inverters(facts, [evse.id for evse in loaded.config.evses])

    def _daemon(self) -> Iterator[PreflightLine]:
        name, found = "daemon", self._found
        if found.pid_uid is None:
            yield warned(
                name, f"v2g-orchestrator does not answer ({found.problem})", "systemctl start v2g-orchestrator"
            )
        elif found.result is None:
            yield warned(name, f"v2g-orchestrator {found.problem}", "systemctl restart v2g-orchestrator, if it is old")
        elif stuck := [line for line in found.result.lines if line.name == name and line.level is Level.FAIL]:
            yield from stuck
        elif found.result.refuses and not any(line.level is Level.FAIL for line in found.result.lines):
            yield failed(name, "it still refuses discharge for what is mended", "v2g-tool preflight --daemon lifts it")
        elif found.result.refuses:
            yield failed(name, "it refuses discharge for what fails", "mend it, then v2g-tool preflight --daemon")
        else:
            yield passed(name, f"v2g-orchestrator[{found.pid_uid[0]}] answers; discharge is refused to nobody")


def _of(result: PreflightResult, name: str) -> list[PreflightLine]:
    return [line for line in result.lines if line.name == name]


def _unlooked(names: Sequence[str]) -> Iterator[PreflightLine]:
    if names:
        yield warned("configuration", f"without it nobody can look at: {', '.join(names)}", "")
