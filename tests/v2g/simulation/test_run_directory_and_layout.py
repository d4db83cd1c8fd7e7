"""The run directory refuses what is not its own; the layout's files hold together."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from pyiso15118.security import TlsProfile
from v2g.clock import ManualClock
from v2g.config.loader import load
from v2g.config.paths import pki_paths
from v2g.pki.overview import overview
from v2g.simulation import layout as layouts
from v2g.simulation import plant_config, vehicle_config
from v2g.simulation.layout import LayoutError
from v2g.simulation.run_directory import RunDirectory, RunDirectoryError


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Short, as the names of sockets have to be."""
    with tempfile.TemporaryDirectory(prefix="v2g") as folder:
        yield Path(folder)


def test_a_new_directory_is_private_and_locked(tmp_path: Path) -> None:
    first = RunDirectory(tmp_path / "run")
    first.take()
    assert stat.S_IMODE(first.path.stat().st_mode) == 0o700
    with pytest.raises(RunDirectoryError, match=rf"pid {os.getpid()}\) runs in"):
        RunDirectory(tmp_path / "run").take()
    first.release()
    again = RunDirectory(tmp_path / "run")
    again.take()
    again.release()


def test_leftovers_of_a_former_run_are_removed_and_logs_survive_the_end(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "run")
    directory.take()
    for name in ("control.sock", "waveform", "plant.json"):
        (directory.path / name).touch()
    for name in ("pki", "log", "vehicles"):
        (directory.path / name).mkdir()
        (directory.path / name / "file").touch()
    directory.release()
    assert sorted(p.name for p in directory.path.iterdir()) == ["log", "simulation.lock", "vehicles"]
    directory.take()
    assert [p.name for p in directory.path.iterdir()] == ["simulation.lock"]
    directory.release()


def test_a_directory_with_other_things_in_it_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    with pytest.raises(RunDirectoryError, match="not empty and no simulation made it"):
        RunDirectory(tmp_path).take()
    assert (tmp_path / "precious").exists()


def test_links_files_and_long_paths_are_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(RunDirectoryError, match="not a directory of its own"):
        RunDirectory(tmp_path / "link").take()
    with pytest.raises(RunDirectoryError, match="too long"):
        RunDirectory(tmp_path / ("x" * 100)).take()
    with pytest.raises(RunDirectoryError, match="cannot be made"):
        RunDirectory(Path("/proc/nowhere")).take()


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to make another user's directory")
def test_another_user_s_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    os.chown(tmp_path / "run", 12345, 12345)
    with pytest.raises(RunDirectoryError, match="belongs to another user"):
        RunDirectory(tmp_path / "run").take()


def test_the_default_directory_is_where_the_control_commands_look(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert RunDirectory.choose(None).path == tmp_path / "v2g-sim"
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "missing"))
    assert RunDirectory.choose(None).path == Path(f"/tmp/v2g-sim-{os.getuid()}")
    assert RunDirectory.choose(tmp_path / "mine").path == tmp_path / "mine"


def test_the_layout_is_a_configuration_that_loads(tmp_path: Path) -> None:
    layout = layouts.build(tmp_path, 2, None, ManualClock())
    loaded = load(layout.config_dir)
    plant = plant_config.read_config(layout.plant_config)
    # The relay is slower than anything that must be ridden through, so that none of the warnings is about it.
    assert [" ".join(warning.split()[:2]) for warning in loaded.warnings] == [
        "profile simulation",
        "waveform.allow_slow is",
    ]
    assert loaded.config.grid.confirm_unverified
    assert loaded.config.relay.feedback_path == str(tmp_path / "relay")
    assert loaded.config.protection.mains_input_path == str(tmp_path / "mains")
    assert (loaded.config.relay.setting_pu, loaded.config.relay.delay_s) == (
        plant.relay_setting_pu,
        plant.relay_delay_s,
    )
    assert [e.id for e in loaded.config.evses] == [e.evse_id for e in plant.evses] == ["US*V2G*E1", "US*V2G*E2"]
    for evse, simulated, made in zip(loaded.config.evses, plant.evses, layout.evses, strict=True):
        assert (evse.inverter.modbus.port, evse.dc.modbus.port) == (simulated.inverter_port, simulated.dc_port)
        vehicle = vehicle_config.read_config(made.vehicle.config)
        assert (vehicle.sdp_port, vehicle.evse_id) == (evse.sdp_port, evse.id)
        assert stat.S_IMODE(Path(vehicle.cert_key).stat().st_mode) == 0o600
    assert stat.S_IMODE(pki_paths(loaded.config).strict_key.stat().st_mode) == 0o600
    certificates = overview(loaded.config, TlsProfile.STRICT, ManualClock().unix_s())
    assert (certificates.problems, certificates.key_matches) == ((), True)


def test_ports_that_are_taken_or_reserved_are_passed_over(monkeypatch) -> None:
    monkeypatch.setattr(layouts, "FIRST_SECC_PORT", 27_318)
    base, first = layouts.reserve_secc_ports(2)
    reserved, second = layouts.reserve_secc_ports(2)
    assert reserved > base + 1
    first.close()
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as taken:
        taken.bind(("::1", base + 1))
        taken.listen()
        free, third = layouts.reserve_secc_ports(2)
        assert free not in (base, base + 1, reserved)
    again, fourth = layouts.reserve_secc_ports(2)
    assert again == base
    for reservation in (second, third, fourth):
        reservation.close()
    assert len(set(layouts.free_tcp_ports(9))) == 9


def test_without_ipv6_on_the_loopback_the_remedy_is_said(monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(99, "Cannot assign requested address")

    monkeypatch.setattr(layouts.socket.socket, "bind", refuse)
    with pytest.raises(LayoutError, match=r"sysctl net\.ipv6\.conf\.all\.disable_ipv6=0"):
        layouts.require_ipv6_loopback()


def test_a_vehicle_s_state_survives_and_a_torn_one_is_none(tmp_path: Path) -> None:
    path = tmp_path / "v.json"
    assert vehicle_config.read_state(path) is None
    state = vehicle_config.VehicleState(evccid="X", evse_id="E", soc=0.5, stored_wh=30_000.0, energy_out_wh=12.5)
    vehicle_config.write_state(path, state)
    assert vehicle_config.read_state(path) == state
    path.write_bytes(path.read_bytes()[:-10])
    assert vehicle_config.read_state(path) is None


def test_ac_vehicles_get_ac_evses_in_all_three_files_and_every_second_is_single_phase(tmp_path: Path) -> None:
    layout = layouts.build(tmp_path, 1, None, ManualClock(), ac_vehicles=2)
    try:
        config = load(layout.config_dir).config
        assert [(type(evse).__name__, evse.id) for evse in config.evses] == [
            ("DcEvse", "US*V2G*E1"),
            ("AcEvse", "US*V2G*E2"),
            ("AcEvse", "US*V2G*E3"),
        ]
        assert [(evse.phases, evse.rotation, evse.allow_discharge) for evse in config.ac_evses] == [
            (3, "abc", True),
            (1, "b", True),
        ]
        plant = plant_config.read_config(layout.plant_config)
        assert [(evse.kind, evse.phases, evse.rotation) for evse in plant.evses] == [
            ("DC", 3, "abc"),
            ("AC", 3, "abc"),
            ("AC", 1, "b"),
        ]
        assert [evse.ac_port for evse in plant.evses[1:]] == [evse.ac.modbus.port for evse in config.ac_evses]
        vehicles = [vehicle_config.read_config(vehicle.config) for _, vehicle in layout.vehicles]
        assert [(vehicle.kind, vehicle.max_charge_w) for vehicle in vehicles] == [
            ("DC", 11_000.0),
            ("AC", 11_000.0),
            ("AC", 7_000.0),
        ]
    finally:
        layout.port_reservation.close()


def test_the_winding_stress_is_mapped_where_an_overlay_gives_it_a_limit(tmp_path: Path) -> None:
    overlay = tmp_path / "stress.yaml"
    overlay.write_text("interlocks: {winding_stress_limit_mpa: 150}")
    for name, overlays, mapped in (("a", [], False), ("b", [overlay], True)):
        layout = layouts.build(tmp_path / name, 1, None, ManualClock(), overlays=overlays)
        with layout.port_reservation:
            assert (load(layout.config_dir).sensors.get("winding_stress_mpa") is not None) is mapped


def test_ports_that_are_somebody_s_already_are_left_out() -> None:
    class FirstThree(set[int]):
        asked: ClassVar[list[int]] = []

        def __contains__(self, port: object) -> bool:
            self.asked.append(int(str(port)))
            return len(self.asked) <= 3

    found = layouts.free_tcp_ports(2, FirstThree())
    assert len(FirstThree.asked) == 5
    assert found == FirstThree.asked[3:]
