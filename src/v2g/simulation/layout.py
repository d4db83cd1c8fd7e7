"""Everything a simulation needs on disk before its processes start: ports, certificates, configurations."""

from __future__ import annotations

import contextlib
import datetime
import socket
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml

from pyiso15118.security import Pki, write_credential, write_trust_anchor
from v2g.clock import Clock
from v2g.config.schema import TlsProfileName
from v2g.pki import store
from v2g.simulation.composed_image import FILTER_MAP
from v2g.simulation.layout_plc import EvseLine, line_of, write_powerline
from v2g.simulation.layout_sensors import limits_stress, write_sensor_map
from v2g.simulation.layout_sizes import DC_SIZES, Connector, DcSize, rated_kva, rotations_of
from v2g.simulation.plant_config import Conditions, PlantConfig, PlantEvse, write_config
from v2g.simulation.vehicle_config import VehicleConfig, vehicle_settings
from v2g.simulation.vehicle_spec import VehicleSpec

INTERFACE = "lo"
HOST = "127.0.0.1"
FIRST_SECC_PORT = 15118
FIRST_DYNAMIC_PORT = 49152
"""A foreign vehicle may refuse a TCP port below this."""
NOMINAL_VOLTAGE_V = 277.0
EVSE_RATED_W = 22_000.0
ENTER_SERVICE_DELAY_S = 1.0
"""Of the simulated inverters."""
MEASURED_EVSES = 4
"""So many EVSEs have voltage channels of their own; the others are measured at the feeder, as a big site would be."""
RELAY_SETTING_PU = 1.10
RELAY_DELAY_S = 14.0
"""One stage at the edge of continuous operation has to be slower than what must be ridden through above it (12 s) and
than OV1 (13 s), so that the relay is what acts when the guard does not. At a real site a faster second stage above
1.20 goes with it."""
AC_MAX_CURRENT_A = 32.0
AC_SINGLE_PHASE_W = 7_000.0
"""What a vehicle exchanges at most on one phase."""
_SOC_SPREAD = (0.72, 0.64, 0.78, 0.68)


class LayoutError(Exception):
    """The machine lacks something; the message says what to enable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignEvse:
    """An EVSE for a vehicle from outside: a network interface, and the TLS profile it is served with."""

    interface: str
    tls: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedVehicle:
    """A vehicle process and its files."""

    evccid: str
    config: Path
    state: Path
    spec: VehicleSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedEvse:
    """One EVSE with the ports of everything around it. ``vehicle``: None where one from outside is expected."""

    evse_id: str
    interface: str
    tls: str
    sdp_port: int
    tcp_port: int
    inverter_port: int
    dc_port: int
    vehicle: SimulatedVehicle | None
    kind: Literal["DC", "AC"] = "DC"
    connector: Connector = "ccs"
    ac_port: int = 0
    rotation: str = "abc"
    """Of an AC EVSE; one letter: single-phase."""
    line: EvseLine | None = None
    """Its powerline; None: its vehicle is on an Ethernet cable."""

    @property
    def phases(self) -> Literal[1, 3]:
        return 3 if len(self.rotation) == 3 else 1

    @property
    def size(self) -> DcSize:
        """Of a DC EVSE."""
        return DC_SIZES[self.connector]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where things are. ``config_dir`` is what the daemons get as ``--config``.

    ``port_reservation`` is held for as long as the simulation runs.
    """

    run_dir: Path
    config_dir: Path
    log_dir: Path
    notify_dir: Path
    plant_config: Path
    plant_socket: Path
    powerline_config: Path | None
    """Of the powerline's process; None: there is none."""
    control_socket: Path
    evses: tuple[SimulatedEvse, ...]
    transducers_port: int
    port_reservation: socket.socket
    conditions: Conditions

    @property
    def vehicles(self) -> tuple[tuple[SimulatedEvse, SimulatedVehicle], ...]:
        """Our own vehicles, each with the EVSE it plugs into."""
        return tuple((evse, evse.vehicle) for evse in self.evses if evse.vehicle is not None)

    @property
    def rated_kva(self) -> float:
        """Of the transformer."""
        return rated_kva(evse.connector for evse in self.evses)

    @property
    def plant_ports(self) -> frozenset[int]:
        """TCP, of the IPv4 loopback."""
        ports = {port for evse in self.evses for port in (evse.inverter_port, evse.dc_port, evse.ac_port)}
        return frozenset(ports | {self.transducers_port}) - {0}


def require_ipv6_loopback() -> None:
    """Raises :class:`LayoutError` with the remedy."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError as error:
        raise LayoutError(
            f"the loopback has no IPv6 ({error.strerror or error}), and ISO 15118 speaks nothing else. Enable it: "
            "sudo ip link set lo up; sudo sysctl net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.lo.disable_ipv6=0 "
            "(in a container: start it with --sysctl net.ipv6.conf.all.disable_ipv6=0)"
        ) from None


def parse_foreign(text: str) -> ForeignEvse:
    """``eth1:compat`` -> an EVSE on eth1. Raises :class:`LayoutError` for an unknown interface or profile."""
    interface, _, tls = text.rpartition(":")
    if tls not in {profile.value for profile in TlsProfileName}:
        raise LayoutError(f"{text!r}: give INTERFACE:PROFILE with profile strict, compat or plain, like eth1:compat")
    try:
        socket.if_nametoindex(interface)
    except OSError:
        raise LayoutError(f"{text!r}: there is no network interface {interface!r}; see: ip -6 address") from None
    return ForeignEvse(interface=interface, tls=tls)


def build(
    run_dir: Path,
    vehicles: int,
    scenario: Path | None,
    clock: Clock,
    *,
    ac_vehicles: int = 0,
    specs: Sequence[VehicleSpec] = (),
    foreign: Sequence[ForeignEvse] = (),
    overlays: Sequence[Path] = (),
    conditions: Conditions = Conditions(),  # noqa: B008 - frozen
    plc: bool = False,
    absent: bool = False,
    besides: Collection[int] = (),
) -> Layout:
    """Write it all: a DC EVSE for each of ``vehicles``, an AC EVSE for each of ``ac_vehicles``, one for each of
    ``specs``, then the foreign ones.

    ``overlays`` become drop-ins. ``absent``: the EVSEs stay empty. ``besides``: TCP ports that are somebody's already.
    ``plc``: our own vehicles are matched over a simulated powerline first, but those of MCS, which has none.

    Raises :class:`LayoutError`.
    """
    require_ipv6_loopback()
    for name in ("etc", "etc/conf.d", "log", "state", "notify", "vehicles", "pki"):
        (run_dir / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    all_specs = [VehicleSpec(kind="DC", both_ways=True)] * vehicles
    all_specs += [*[VehicleSpec(kind="AC", both_ways=True)] * ac_vehicles, *specs]
    base, reservation = reserve_secc_ports(len(all_specs))
    ports = iter(free_tcp_ports(2 * (len(all_specs) + len(foreign)) + 1, besides))
    rotations = rotations_of(all_specs)
    evses = [
        SimulatedEvse(
            evse_id=f"US*V2G*E{number}",
            interface=INTERFACE,
            tls=TlsProfileName.STRICT.value,
            sdp_port=base + number - 1,
            tcp_port=base + number - 1,
            inverter_port=next(ports) if spec.kind == "DC" else 0,
            dc_port=next(ports) if spec.kind == "DC" else 0,
            ac_port=next(ports) if spec.kind == "AC" else 0,
            kind=spec.kind,
            connector=spec.connector,
            rotation=rotation,
            line=line_of(run_dir, number) if plc and spec.connector == "ccs" else None,
            vehicle=None
            if absent
            else SimulatedVehicle(
                evccid=f"SIMEV{number:07d}",
                config=run_dir / "vehicles" / f"SIMEV{number:07d}.config.json",
                state=run_dir / "vehicles" / f"SIMEV{number:07d}.json",
                spec=spec,
            ),
        )
        for number, (spec, rotation) in enumerate(zip(all_specs, rotations, strict=True), start=1)
    ]
    evses += [
        SimulatedEvse(
            evse_id=f"US*V2G*EF{number}",
            interface=evse.interface,
            tls=evse.tls,
            sdp_port=FIRST_SECC_PORT,
            tcp_port=FIRST_DYNAMIC_PORT + number,
            inverter_port=next(ports),
            dc_port=next(ports),
            vehicle=None,
        )
        for number, evse in enumerate(foreign, start=1)
    ]
    layout = Layout(
        run_dir=run_dir,
        config_dir=run_dir / "etc",
        log_dir=run_dir / "log",
        notify_dir=run_dir / "notify",
        plant_config=run_dir / "plant.json",
        plant_socket=run_dir / "plant.sock",
        powerline_config=run_dir / "powerline.json" if any(evse.line for evse in evses) else None,
        control_socket=run_dir / "control.sock",
        evses=tuple(evses),
        transducers_port=next(ports),
        port_reservation=reservation,
        conditions=conditions,
    )
    _write_pki(layout, clock)
    _write_controller_config(layout)
    limited = False
    for number, overlay in enumerate(overlays, start=1):
        try:
            text = overlay.read_bytes()
        except OSError as error:
            raise LayoutError(f"overlay {overlay} cannot be read: {error.strerror or error}") from None
        (layout.config_dir / "conf.d" / f"50-overlay-{number}.yaml").write_bytes(text)
        limited = limited or limits_stress(text)
    write_sensor_map(
        layout.config_dir / "sensor_map.conf",
        run_dir,
        host=HOST,
        port=layout.transducers_port,
        own_channels=[name for channels in _own_channels(layout) for name in channels or ()],
        nominal_voltage_v=NOMINAL_VOLTAGE_V,
        rated_va=layout.rated_kva * 1000.0,
        stress=limited,
    )
    _write_plant_config(layout, scenario)
    if layout.powerline_config is not None:
        write_powerline(layout.powerline_config, run_dir, [evse.line for evse in evses if evse.line is not None])
    return layout


def free_tcp_ports(count: int, besides: Collection[int] = ()) -> list[int]:
    """Ports of the IPv4 loopback that nobody listens on now, and none of ``besides``."""
    found: list[int] = []
    with contextlib.ExitStack() as stack:
        while len(found) < count:
            probe = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            probe.bind((HOST, 0))
            port = int(probe.getsockname()[1])
            if port not in besides:
                found.append(port)
    return found


def reserve_secc_ports(count: int) -> tuple[int, socket.socket]:
    """The first of ``count`` consecutive ports free for TCP and UDP on ::1, 15118 if possible, and their reservation.

    The daemons bind them later; until the reservation is closed no other simulation of this host takes them.
    """
    for base in _candidate_bases(count):
        # An abstract address: gone with its holder, whoever that is, and with nothing left on the disk.
        reservation = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            reservation.bind(f"\0v2g-simulation-ports-{base}")
        except OSError:
            reservation.close()
            continue
        if all(_is_free(port) for port in range(base, base + count)):
            return base, reservation
        reservation.close()
    raise LayoutError(f"no {count} consecutive free ports from {FIRST_SECC_PORT} up on ::1; end what holds them")


def _candidate_bases(count: int) -> Iterator[int]:
    base = FIRST_SECC_PORT
    while base + count <= 32_000:
        yield base
        base += max(100, count)


def _is_free(port: int) -> bool:
    try:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(socket.AF_INET6, kind) as probe:
                if kind is socket.SOCK_STREAM:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("::1", port))
    except OSError:
        return False
    return True


def _write_pki(layout: Layout, clock: Clock) -> None:
    yesterday = datetime.datetime.fromtimestamp(clock.unix_s(), datetime.UTC) - datetime.timedelta(days=1)
    pki, folder = Pki(not_before=yesterday), layout.run_dir / "pki"
    # As v2g-cert-manager lays them, so that it works on a simulation, too.
    secc = write_credential(pki.secc("US*V2G*SIMULATION"), folder, "secc")
    secc.chain.rename(folder / store.CHAIN)
    secc.key.rename(folder / store.KEY)
    write_trust_anchor(pki.oem_root, folder, "oem-root").rename(folder / store.TRUST)
    v2g_root = write_trust_anchor(pki.v2g_root, folder, "v2g-root")
    (folder / store.ROOTS).write_bytes(pki.v2g_root.certificate_pem)
    (folder / "crl").mkdir()
    for name, authority in (("oem-root", pki.oem_root), ("oem-sub-ca", pki.oem_sub_ca)):
        (folder / "crl" / f"{name}.pem").write_bytes(authority.crl())
    # Whose key a request of v2g-cert-manager can be signed with.
    write_credential(pki.cpo_sub_ca.credential, folder, "cpo-sub-ca")
    for number, (evse, vehicle) in enumerate(layout.vehicles):
        files = write_credential(pki.vehicle(vehicle.evccid), folder, vehicle.evccid)
        spec = vehicle.spec
        config = VehicleConfig(
            evccid=vehicle.evccid,
            evse_id=evse.evse_id,
            kind=evse.kind,
            interface=evse.interface,
            sdp_port=evse.sdp_port,
            powerline=evse.line.vehicle_port if evse.line is not None else None,
            mac=evse.line.vehicle_mac if evse.line is not None else "",
            plant_socket=str(layout.plant_socket),
            cert_chain=str(files.chain),
            cert_key=str(files.key),
            trust=str(v2g_root),
            state_file=str(vehicle.state),
            max_current_a=evse.size.vehicle_a,
            **vehicle_settings(
                spec,
                soc=_SOC_SPREAD[number % len(_SOC_SPREAD)],
                most_w=AC_SINGLE_PHASE_W if evse.phases == 1 else evse.size.vehicle_w,
                battery=evse.size.battery,
            ),
        )
        vehicle.config.write_bytes(msgspec.json.encode(config))


def _write_controller_config(layout: Layout) -> None:
    pki = layout.run_dir / "pki"
    config = {
        "site": {"id": "simulation", "name": "Simulated site"},
        "transformer": {"id": "TR-SIM", "rated_kva": layout.rated_kva, "cooling": "DIST_ONAN"},
        "grid": {
            "nominal_voltage_v": NOMINAL_VOLTAGE_V,
            "nominal_frequency_hz": 60.0,
            "profile": "simulation",
            "confirm_unverified": True,
        },
        "relay": {
            "setting_pu": RELAY_SETTING_PU,
            "delay_s": RELAY_DELAY_S,
            "feedback_path": str(layout.run_dir / "relay"),
        },
        "protection": {"mains_input_path": str(layout.run_dir / "mains")},
        # An ordinary user's machine gives no real-time scheduling: the plant may write its samples late.
        "waveform": {"max_age_s": 0.15, "allow_slow": True},
        "paths": {
            "run_dir": str(layout.run_dir),
            "state_dir": str(layout.run_dir / "state"),
            "log_dir": str(layout.log_dir),
        },
        "pki": {
            "dir": str(pki),
            "allow_plain": any(evse.tls == TlsProfileName.PLAIN.value for evse in layout.evses),
        },
        "evses": [
            _evse_section(evse, channels) for evse, channels in zip(layout.evses, _own_channels(layout), strict=True)
        ],
        "sensor_map": "sensor_map.conf",
    }
    text = "# Written by v2g-orchestrator --simulate; the next run writes it anew.\n"
    (layout.config_dir / "v2g.yaml").write_text(text + yaml.safe_dump(config, sort_keys=False), encoding="utf-8")


def _evse_section(evse: SimulatedEvse, channels: tuple[str, str, str] | None) -> dict[str, Any]:
    common: dict[str, Any] = {
        "id": evse.evse_id,
        "kind": evse.kind,
        "interface": evse.interface,
        "sdp_port": evse.sdp_port,
        "tcp_port": evse.tcp_port,
        "tls": evse.tls,
        "max_charge_w": evse.size.rated_w,
        "max_discharge_w": evse.size.rated_w,
    }
    if evse.line is not None:
        common["plc"] = evse.line.section
    if evse.kind == "AC":
        rated_w = ac_rated_w(evse)
        return common | {
            "max_charge_w": rated_w,
            "max_discharge_w": rated_w,
            "max_current_a": AC_MAX_CURRENT_A,
            "phases": evse.phases,
            "rotation": evse.rotation,
            "allow_discharge": True,
            "der": {"protocol": "none" if evse.vehicle is None else evse.vehicle.spec.der},
            "ac": {"driver": "register_map", "modbus": {"host": HOST, "port": evse.ac_port, "unit": 1}},
        }
    return common | {
        "connector": evse.connector,
        "max_voltage_v": evse.size.max_voltage_v,
        "max_current_a": evse.size.max_current_a,
        "inverter": {
            "driver": "sunspec",
            "modbus": {"host": HOST, "port": evse.inverter_port, "unit": 1},
            "voltage_channels": list(channels) if channels is not None else None,
            "harmonic_filter": {"map": FILTER_MAP},
        },
        "dc": {"driver": "register_map", "modbus": {"host": HOST, "port": evse.dc_port, "unit": 1}},
    }


def ac_rated_w(evse: SimulatedEvse) -> float:
    """Within the current of its phases."""
    return min(EVSE_RATED_W, AC_MAX_CURRENT_A * NOMINAL_VOLTAGE_V * evse.phases)


def _own_channels(layout: Layout) -> list[tuple[str, str, str] | None]:
    """Of each EVSE: the channels at its inverter's own terminals, as far as the simulation gives it some."""
    return [
        (f"v_evse{number}_a", f"v_evse{number}_b", f"v_evse{number}_c")
        if number <= MEASURED_EVSES and evse.kind == "DC"
        else None
        for number, evse in enumerate(layout.evses, start=1)
    ]


def _write_plant_config(layout: Layout, scenario: Path | None) -> None:
    config = PlantConfig(
        run_dir=str(layout.run_dir),
        evses=tuple(
            PlantEvse(
                evse_id=evse.evse_id,
                kind=evse.kind,
                inverter_port=evse.inverter_port,
                dc_port=evse.dc_port,
                ac_port=evse.ac_port,
                phases=evse.phases,
                rotation=evse.rotation,
                rated_w=ac_rated_w(evse) if evse.kind == "AC" else evse.size.rated_w,
                max_voltage_v=evse.size.max_voltage_v,
                max_current_a=AC_MAX_CURRENT_A if evse.kind == "AC" else evse.size.max_current_a,
                voltage_channels=channels,
                plugged=evse.vehicle is None,
            )
            for evse, channels in zip(layout.evses, _own_channels(layout), strict=True)
        ),
        transducers_port=layout.transducers_port,
        host=HOST,
        nominal_voltage_v=NOMINAL_VOLTAGE_V,
        rated_va=layout.rated_kva * 1000.0,
        conditions=layout.conditions,
        enter_service_delay_s=ENTER_SERVICE_DELAY_S,
        relay_setting_pu=RELAY_SETTING_PU,
        relay_delay_s=RELAY_DELAY_S,
        scenario=str(scenario.absolute()) if scenario is not None else "",
    )
    write_config(layout.plant_config, config)
