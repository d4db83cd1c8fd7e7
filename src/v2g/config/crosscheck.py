"""What no single value can show: things given twice, settings that contradict each other, figures in the wrong unit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from v2g.config.addresses import address_suspicions, device_of, modbus_addresses
from v2g.config.crosscheck_der import check_der, der_suspicions
from v2g.config.crosscheck_dispatch import check_dispatch, dispatch_suspicions
from v2g.config.crosscheck_firewall import check_firewall, firewall_suspicions
from v2g.config.crosscheck_guard import check_guard, guard_suspicions
from v2g.config.crosscheck_mesh import check_mesh, mesh_suspicions
from v2g.config.crosscheck_plc import check_plc, plc_suspicions
from v2g.config.crosscheck_sessions import check_sessions
from v2g.config.crosscheck_utility import check_utility, utility_suspicions
from v2g.config.paths import SUN_PATH_MAX, run_paths
from v2g.config.places import check_places
from v2g.config.problems import Report
from v2g.config.protection import grid_settings_if_confirmed
from v2g.config.schema import AcEvse, Config, DcEvse, Evse, Inverter, TlsProfileName
from v2g.config.thermal import thermal_limits, thermal_parameters
from v2g.config.timezone import TimezoneError, zone_of
from v2g.grid.settings import SettingsError
from v2g.grid.trip import require_young_samples, tick_timing
from v2g.thermal.headroom import longest_horizon_s
from v2g.thermal.limits import Regime
from v2g.thermal.parameters import ParameterError

_FIRST_DYNAMIC_PORT = 49152
_MCS_MAX_V, _MCS_MAX_A = 1250.0, 3000.0
"""Of the connector, as CharIN specifies it."""


def cross_check(config: Config, report: Report) -> None:
    """Every contradiction between values that are each valid, into ``report``."""
    _evse_ids(config, report)
    _ports(config, report)
    _modbus(config, report)
    for position, evse in enumerate(config.evses):
        _one_evse(evse, f"evses[{position}]", config, report)
    _transformer(config, report)
    check_guard(config, report)
    check_der(config, report)
    check_dispatch(config, report)
    check_utility(config, report)
    check_firewall(config, report)
    check_plc(config, report)
    check_mesh(config, report)
    check_places(config, report)
    check_sessions(config, report)
    _timezone(config, report)
    _history(config, report)
    _paths(config, report)


def suspicions(config: Config) -> Iterator[str]:
    """Values that are allowed but look like a wrong unit; for people, never a reason to stop."""
    if config.transformer.rated_kva >= 10_000:
        yield (
            f"transformer.rated_kva is {config.transformer.rated_kva:g} kVA, much for a distribution transformer; "
            f"if {config.transformer.rated_kva:g} VA is meant, write {config.transformer.rated_kva / 1000:g}"
        )
    volts = config.grid.nominal_voltage_v
    if volts in (208.0, 380.0, 400.0, 415.0, 480.0, 600.0):
        yield f"grid.nominal_voltage_v is line to neutral; {volts:g} V looks like line to line: {volts / 3**0.5:.0f} V?"
    yield from dispatch_suspicions(config)
    yield from der_suspicions(config)
    for position, evse in enumerate(config.evses):
        for name in ("max_charge_w", "max_discharge_w"):
            inverter = [(evse.inverter, "inverter.")] if isinstance(evse, DcEvse) else []
            for owner, where in ((evse, ""), *inverter):
                watts = getattr(owner, name)
                if watts is not None and watts < 500:
                    yield f"evses[{position}].{where}{name} is {watts:g} W; for {watts:g} kW write {watts * 1000:g}"
        if isinstance(evse, AcEvse):
            yield from _ac_suspicions(evse, f"evses[{position}]", volts)
        elif evse.connector == "mcs":
            yield from _mcs_suspicions(evse, f"evses[{position}]")
        if evse.tls is TlsProfileName.COMPAT and evse.tcp_port < _FIRST_DYNAMIC_PORT:
            yield (
                f"evses[{position}].tcp_port is {evse.tcp_port} with tls compat; stacks such as Josev/EcoG refuse an "
                f"SDP response with a TCP port outside {_FIRST_DYNAMIC_PORT}..65535: choose one of these for their "
                "vehicles"
            )
        for part, address in modbus_addresses(evse):
            yield from address_suspicions(f"evses[{position}].{part}.modbus", address)
    if config.secc.charge_loop_timeout_s > 0.5:
        yield (
            f"secc.charge_loop_timeout_s is {config.secc.charge_loop_timeout_s:g} s; the standard's is 0.5 s, "
            "and a silent vehicle is noticed that much later"
        )
    yield from guard_suspicions(config)
    yield from utility_suspicions(config)
    yield from firewall_suspicions(config)
    yield from plc_suspicions(config)
    yield from mesh_suspicions(config)
    yield from _history_suspicions(config)
    if slow := slow_samples(config):
        yield slow
    if config.pki.allow_plain:
        yield "pki.allow_plain is on: test mode, ISO 15118-20 does not allow conversations without TLS"


def _mcs_suspicions(evse: DcEvse, path: str) -> Iterator[str]:
    for name, most, unit in (("max_voltage_v", _MCS_MAX_V, "V"), ("max_current_a", _MCS_MAX_A, "A")):
        value: float = getattr(evse, name)
        if value > most:
            yield f"{path}.{name} is {value:g} {unit}; connectors of MCS are rated for {most:g} {unit} at most"
    if evse.plc is not None:
        yield (
            f"{path} is an MCS EVSE with a powerline modem (plc); MCS talks over single-pair Ethernet (10BASE-T1S, "
            "ISO 15118-10), where no vehicle is matched: leave plc out"
        )
    carried_w = evse.max_voltage_v * evse.max_current_a
    for name in ("max_charge_w", "max_discharge_w"):
        watts: float = getattr(evse, name)
        if watts > carried_w:
            yield (
                f"{path}.{name} is {watts:.0f} W, but {evse.max_current_a:g} A at {evse.max_voltage_v:g} V carry "
                f"{carried_w:.0f} W"
            )


def _ac_suspicions(evse: AcEvse, path: str, nominal_voltage_v: float) -> Iterator[str]:
    most_w = evse.max_current_a * nominal_voltage_v * evse.phases
    for name in ("max_charge_w", "max_discharge_w"):
        watts: float = getattr(evse, name)
        used = name == "max_charge_w" or evse.allow_discharge
        if used and watts > 1.02 * most_w:
            yield (
                f"{path}.{name} is {watts:g} W, but {evse.max_current_a:g} A on {evse.phases} phase"
                f"{'s' if evse.phases > 1 else ''} at {nominal_voltage_v:g} V carry {most_w:.0f} W: no more is offered"
            )


def slow_samples(config: Config) -> str:
    """Why the clearing times are not kept although ``waveform.allow_slow`` lets the guard run; empty where they are."""
    settings = grid_settings_if_confirmed(config)
    if settings is None:
        return ""
    timing = tick_timing(config.breaker.opening_time_s, settings.nominal_frequency_hz)
    try:
        require_young_samples(timing, settings.trips, config.waveform.max_age_s)
    except SettingsError:
        return (
            f"waveform.allow_slow is on with waveform.max_age_s {config.waveform.max_age_s:g} s: the clearing times of "
            f"{settings.standard} are not kept; for simulation and trials only"
        )
    return ""


def _timezone(config: Config, report: Report) -> None:
    try:
        zone_of(config.site.timezone)
    except TimezoneError as error:
        report.add("site.timezone", repr(config.site.timezone), error.reason, error.remedy)


def _history(config: Config, report: Report) -> None:
    path = config.history.path
    if path and not Path(path).is_absolute():
        report.add("history.path", repr(path), "is no absolute path", "begin it with /, or leave it empty")
    elif path and (path.endswith("/") or _is_directory(Path(path))):
        report.add("history.path", repr(path), "is a directory", f"name a file: {Path(path) / 'history.sqlite'}")


def _history_suspicions(config: Config) -> Iterator[str]:
    """A disk that is not there must stop neither guard nor daemon: the writer says so, and waits for it."""
    path = run_paths(config).history
    if config.history.path and _is_directory(path.parent) is False:
        yield (
            f"history.path is {path}, and {path.parent} is no directory at present: nothing is kept by the minute "
            "until it is; create it for the daemon's user, or mount its disk"
        )
    if config.history.path and path.is_relative_to(config.paths.run_dir):
        yield f"history.path is {path}, below run_dir, which is emptied at each boot: choose a place on a disk"


def _is_directory(path: Path) -> bool | None:
    """None where this user may not look."""
    try:
        return path.is_dir()
    except OSError:
        return None


def _evse_ids(config: Config, report: Report) -> None:
    seen: dict[str, int] = {}
    for position, evse in enumerate(config.evses):
        bare = evse.id.replace("*", "")
        if bare in seen:
            first = f"evses[{seen[bare]}]"
            reason = f"is the EVSE of {first} again ({report.place(f'{first}.id')})"
            if evse.id != config.evses[seen[bare]].id:
                reason += "; the asterisks of an EVSE id carry no meaning"
            report.add(f"evses[{position}].id", repr(evse.id), reason, "give each EVSE its own id, or remove one")
        seen.setdefault(bare, position)


def _ports(config: Config, report: Report) -> None:
    for name in ("tcp_port", "sdp_port"):
        seen: dict[tuple[str, int], int] = {}
        for position, evse in enumerate(config.evses):
            port: int = getattr(evse, name)
            first = seen.setdefault((evse.interface, port), position)
            if first != position:
                report.add(
                    f"evses[{position}].{name}",
                    port,
                    f"is taken on interface {evse.interface} by EVSE {config.evses[first].id} (evses[{first}])",
                    "a session's EVSE is known by its socket alone: give this EVSE another interface or port",
                )


def _modbus(config: Config, report: Report) -> None:
    seen: dict[str, tuple[int, str]] = {}
    for position, evse in enumerate(config.evses):
        for part, address in modbus_addresses(evse):
            first, first_part = seen.setdefault(device_of(address), (position, part))
            # One cabinet may answer for the inverter and the DC side of its own EVSE.
            if first != position:
                report.add(
                    f"evses[{position}].{part}.modbus",
                    device_of(address),
                    f"is already {first_part} of EVSE {config.evses[first].id} (evses[{first}])",
                    "two EVSEs cannot command one device: correct host, port or unit",
                )


def _one_evse(evse: Evse, path: str, config: Config, report: Report) -> None:
    if isinstance(evse, DcEvse) and evse.min_voltage_v >= evse.max_voltage_v:
        report.add(
            f"{path}.min_voltage_v",
            f"{evse.min_voltage_v:g}",
            f"is not below max_voltage_v ({evse.max_voltage_v:g} V)",
            "write the lowest and highest DC voltage of the EVSE",
        )
    if isinstance(evse, DcEvse):
        _inverter_map(evse.inverter, f"{path}.inverter", report)
    if isinstance(evse, AcEvse) and len(evse.rotation) != evse.phases:
        report.add(
            f"{path}.rotation",
            repr(evse.rotation),
            f"names {len(evse.rotation)} phases, and the EVSE has {evse.phases} (phases)",
            "write the phase of the bus at each line of the EVSE: one letter (a, b or c) or three",
        )
    if evse.tls is TlsProfileName.PLAIN and not config.pki.allow_plain:
        report.add(
            f"{path}.tls",
            "'plain'",
            "is a test mode without TLS",
            "write strict or compat, or allow the test mode with 'pki: {allow_plain: true}'",
        )


def _inverter_map(inverter: Inverter, path: str, report: Report) -> None:
    if inverter.driver == "register_map" and not inverter.map:
        remedy = "add 'map: ' with a name from devices/ of the configuration directory, or a path"
        report.add(f"{path}.driver", repr(inverter.driver), "has no map", remedy)
    if inverter.driver == "sunspec" and inverter.map:
        remedy = "write driver: register_map, or remove the map"
        report.add(f"{path}.map", repr(inverter.map), "is not read by driver sunspec", remedy)


def _transformer(config: Config, report: Report) -> None:
    transformer = config.transformer
    try:
        params = thermal_parameters(transformer)
        for regime in Regime:
            thermal_limits(transformer, regime)
    except ParameterError as error:
        report.add("transformer", "", str(error), "compare with the nameplate and the heat-run test")
        return
    longest_s, horizon_s = longest_horizon_s(params), config.dispatch.thermal_horizon_s
    if horizon_s > longest_s:
        report.add(
            "dispatch.thermal_horizon_s",
            f"{horizon_s:g}",
            f"is longer than the {longest_s:g} s that can be solved for with transformer.constants (k21, k22, times)",
            "shorten it, or compare the constants with the heat-run test",
        )


def _paths(config: Config, report: Report) -> None:
    for name in ("run_dir", "state_dir", "log_dir"):
        value: str = getattr(config.paths, name)
        if not Path(value).is_absolute():
            report.add(f"paths.{name}", repr(value), "is no absolute path", "begin it with /")
    socket = str(run_paths(config).control_sock)
    if len(socket.encode()) > SUN_PATH_MAX:
        report.add(
            "paths.run_dir",
            repr(config.paths.run_dir),
            f"makes socket names longer than the {SUN_PATH_MAX} bytes the kernel takes ({socket})",
            "choose a shorter directory",
        )
