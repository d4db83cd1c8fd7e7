"""All checks in their order: what each needs to look at, and which of them who asks can make."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from v2g.clock import Clock
from v2g.config.loader import ConfigError, Loaded, load
from v2g.config.paths import RunPaths, run_paths
from v2g.config.schema import Config
from v2g.control.roles import group_names
from v2g.guard.realtime import TICK_PRIORITY
from v2g.host.preflight import installation, network, probe, storage, system
from v2g.host.preflight.model import PreflightLine, failed, passed, softened, warned
from v2g.host.preflight.names import CHECKS, NO_MORE_THAN_WARN, OF_DAEMON
from v2g.orchestrator.config_check import map_problems, role_warnings, tls_problems
from v2g.orchestrator.discharge_record import FILE as TESTS_FILE
from v2g.orchestrator.discharge_record import DischargeTests
from v2g.orchestrator.preflight import devices, trust, waveform
from v2g.orchestrator.preflight.known import Known
from v2g.pki.clock_sync import RELEASED_UNIX_S, is_synchronised

GUARD_USER, PLC_USER, GROUP = "v2g-guard", "v2g-plc", "v2g"
UNITS = (
    ("v2g-orchestrator.service", True, True),
    ("v2g-guard-tick.service", True, False),
    ("v2g-guard-wires.service", True, False),
    ("v2g-guard-quality.service", False, False),
    ("v2g-firewall.service", False, True),
    ("v2g-audit-verify.timer", False, True),
)
"""Each with whether nothing works without it, and whether it has to be enabled: the others are started by it."""
_SEEN = 8

Check = Callable[[], Iterable[PreflightLine]]


@dataclass(frozen=True, slots=True)
class Host:
    """Where and when it is looked. ``write``: try directories with a small file."""

    clock: Clock
    root: probe.Root = probe.Root()  # noqa: RUF009 (frozen)
    write: bool = True
    synchronised: Callable[[], bool | None] = is_synchronised


def daemon_lines(loaded: Loaded, known: Known, host: Host, *, simulation: bool) -> tuple[PreflightLine, ...]:
    """What the daemon finds. Blocks: files, and the user's idea of time."""
    evses = [evse.id for evse in loaded.config.evses]
    checks: dict[str, Check] = {
        **host_checks(loaded.config, host),
        "configuration": lambda: configuration_of_daemon(loaded.config_dir),
        "realtime": lambda: system.judge_realtime(system.RealtimeFacts(known.guard_realtime), TICK_PRIORITY),
        "ports": lambda: network.judge_served(known.unreachable, evses),
        "tls": lambda: trust.judge_tls(known.tls),
        "waveform": lambda: devices.judge_waveform(
            waveform.look(run_paths(loaded.config).waveform, host.clock), known.guard_measures
        ),
        **controller_checks(loaded.config, known),
    }
    return in_order({name: check for name, check in checks.items() if name in OF_DAEMON}, simulation=simulation)


def host_checks(config: Config, host: Host) -> dict[str, Check]:
    """Those for which a configuration is all that is needed."""
    root, now_s = host.root, host.clock.unix_s
    paths = run_paths(config)
    return {
        **plain_checks(host),
        "versions": lambda: versions(frozenset({"hsm"} if config.pki.token is not None else ())),
        "disk": lambda: storage.judge_disk(_directories(paths, host.write)),
        "led": lambda: system.judge_leds(probe.leds(root, (config.heartbeat.led, config.heartbeat.amber))),
        "ipv6": lambda: network.judge_ipv6(_interfaces(config, root), _by_interface(config)),
        "certificates": lambda: trust.certificate_lines(config, now_s()),
        "mesh-certificate": lambda: trust.mesh_lines(config, now_s()),
        "waveform": lambda: devices.judge_waveform(waveform.look(paths.waveform, host.clock)),
        "efficiency": lambda: devices.judge_efficiency(_efficiencies(config, paths)),
    }


def plain_checks(host: Host) -> dict[str, Check]:
    """Those that any machine can be asked for."""
    return {
        "kernel": lambda: system.judge_kernel(probe.kernel(host.root)),
        "clock": lambda: system.judge_clock(host.synchronised(), host.clock.unix_s(), RELEASED_UNIX_S),
        "versions": versions,
        "users": lambda: users(None),
        "units": lambda: units(None, host.root),
    }


def controller_checks(config: Config, known: Known) -> dict[str, Check]:
    evses = [evse.id for evse in config.evses]
    return {
        "sensors": lambda: devices.judge_sensors(known.sensors),
        "inverters": lambda: devices.judge_inverters(known.devices, evses),
        "relay": lambda: relay(config, known.relay_closed),
    }


def in_order(checks: Mapping[str, Check], *, simulation: bool) -> tuple[PreflightLine, ...]:
    """The lines of all, in the order of :data:`CHECKS`. A check that breaks down has failed."""
    lines = [line for name in CHECKS if name in checks for line in _lines(name, checks[name])]
    return (
        softened(lines, NO_MORE_THAN_WARN, "no more than a warning in the simulation") if simulation else tuple(lines)
    )


def _lines(name: str, check: Check) -> Iterator[PreflightLine]:
    try:
        yield from check()
    except Exception as error:
        yield failed(name, f"the check broke down: {type(error).__name__}: {error}", "report it with daemon.log")


def configuration(config_dir: Path) -> tuple[Loaded | None, tuple[PreflightLine, ...]]:
    """Read and checked as before a start: what is usable, and the lines."""
    name = "configuration"
    try:
        loaded = load(config_dir)
        if found := [*map_problems(loaded), *tls_problems(loaded)]:
            raise ConfigError(found)
    except ConfigError as error:
        first, more = error.problems[0], len(error.problems) - 1
        place = " ".join(str(first).partition("\n")[0].split())
        others = f" (and {more} more: v2g-orchestrator --check-config --config {config_dir})" if more else ""
        return None, (failed(name, place, f"{first.remedy}{others}"),)
    warnings = [*map(str, loaded.warnings), *role_warnings(loaded)]
    lines = [warned(name, " ".join(each.split()), "as it says") for each in warnings[:_SEEN]]
    files = f"{config_dir}, {len(loaded.config.evses)} EVSE{'s' if len(loaded.config.evses) != 1 else ''}"
    return loaded, (*lines, passed(name, files))


def configuration_of_daemon(config_dir: Path) -> Iterator[PreflightLine]:
    """Its own is in force already: a file that was broken since is a warning."""
    for line in configuration(config_dir)[1]:
        if line.level == "fail":
            yield warned(
                line.name, f"what was read at the start holds, a restart would fail: {line.found}", line.remedy
            )
        else:
            yield line


def versions(extras: frozenset[str] = frozenset()) -> Iterator[PreflightLine]:
    return installation.judge_versions(probe.requirements(), probe.installed, extras)


def users(config: Config | None) -> Iterator[PreflightLine]:
    """Without a configuration: of the default one."""
    daemon_user = config.control.daemon_user if config is not None else "v2g"
    with_plc = config is not None and any(evse.plc is not None for evse in config.evses)
    roles = group_names(config.control.roles).values() if config is not None else ()
    return installation.judge_users(
        probe.users((daemon_user, GUARD_USER, *((PLC_USER,) if with_plc else ()))),
        probe.groups((GROUP,)),
        probe.groups(roles),
    )


def units(config: Config | None, root: probe.Root) -> Iterator[PreflightLine]:
    more: list[tuple[str, bool, bool]] = []
    if config is not None and any(evse.plc is not None for evse in config.evses):
        more.append(("kplc-driver.service", True, False))
    if config is not None and config.pki.enrolment is not None:
        more.append(("v2g-cert-renew.timer", False, True))
    return installation.judge_units(probe.systemd_runs(root), probe.units(root, (*UNITS, *more)))


def relay(config: Config, closed: bool | None) -> Iterator[PreflightLine]:
    return devices.judge_relay(config.relay.setting_pu, bool(config.relay.feedback_path), closed)


def wanted_ports(config: Config) -> tuple[network.WantedPort, ...]:
    """An SDP port is shared by the EVSEs of an interface."""
    found: dict[tuple[str, str, int], network.WantedPort] = {}
    for evse in config.evses:
        for protocol, port in (("tcp", evse.tcp_port), ("udp", evse.sdp_port)):
            found.setdefault(
                (evse.interface, protocol, port), network.WantedPort(evse.id, evse.interface, protocol, port)
            )
    return tuple(found.values())


def _interfaces(config: Config, root: probe.Root) -> tuple[network.InterfaceFacts, ...]:
    return probe.interfaces(root, [evse.interface for evse in config.evses])


def _by_interface(config: Config) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for evse in config.evses:
        found.setdefault(evse.interface, []).append(evse.id)
    return found


def _directories(paths: RunPaths, write: bool) -> tuple[storage.DirFacts, ...]:
    named = (("logs", paths.log_dir), ("state", paths.state_dir), ("run", paths.run_dir))
    return tuple(probe.directory(use, path, write=write) for use, path in named)


def _efficiencies(config: Config, paths: RunPaths) -> tuple[devices.EfficiencyFacts, ...]:
    tests = DischargeTests(paths.state_dir / TESTS_FILE)
    found = []
    for evse in config.dc_evses:
        record, accepted = tests.get(evse.id), evse.inverter.accept_low_efficiency
        found.append(
            devices.EfficiencyFacts(
                evse.id,
                evse.inverter.efficiency,
                record.efficiency if record is not None else None,
                accepted,
                tests.refusal(evse.id, accepted),
            )
        )
    return tuple(found)
