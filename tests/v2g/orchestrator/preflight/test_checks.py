"""All checks in their order, of a site that is made of files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.config_dir import two_evses, write_config
from v2g.clock import ManualClock
from v2g.config.loader import Loaded
from v2g.host.preflight import probe
from v2g.host.preflight.model import Level, PreflightLine, failed, passed
from v2g.host.preflight.names import ASKED, CHECKS, NO_MORE_THAN_WARN, OF_DAEMON
from v2g.orchestrator.preflight.checks import (
    Host,
    Known,
    configuration,
    configuration_of_daemon,
    daemon_lines,
    in_order,
    wanted_ports,
)

NOW = 1_800_000_000.0


def loaded_site(folder: Path, **sections: Any) -> Loaded:
    paths = {name: str(folder / name) for name in ("run_dir", "state_dir", "log_dir")}
    for path in paths.values():
        Path(path).mkdir(parents=True, exist_ok=True)
    main = two_evses(paths=paths, pki={"dir": str(folder / "pki")}, grid={"nominal_voltage_v": 277}, **sections)
    write_config(folder / "etc", main)
    loaded, lines = configuration(folder / "etc")
    assert loaded is not None, lines
    return loaded


def known(**changes: Any) -> Known:
    facts: dict[str, Any] = {
        "guard_realtime": True,
        "relay_closed": True,
        "guard_measures": True,
        "sensors": (),
        "devices": (),
        "unreachable": {},
        "tls": (),
        **changes,
    }
    return Known(**facts)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(ManualClock(unix_s=NOW), probe.Root(tmp_path / "root"), synchronised=lambda: True)


def test_every_check_has_its_place_and_the_daemon_s_are_among_them() -> None:
    assert len(set(CHECKS)) == len(CHECKS)
    assert set(CHECKS) > OF_DAEMON > ASKED
    assert set(CHECKS) > NO_MORE_THAN_WARN


def test_the_daemon_makes_its_checks_in_order_and_no_others(tmp_path: Path, host: Host) -> None:
    lines = daemon_lines(loaded_site(tmp_path), known(), host, simulation=False)
    names = list(dict.fromkeys(line.name for line in lines))
    assert set(names) <= OF_DAEMON
    assert names == [name for name in CHECKS if name in names]
    fails = {line.name for line in lines if line.level is Level.FAIL}
    assert fails == {"ipv6", "certificates", "sensors", "relay"}


def test_a_laptop_s_kernel_and_clock_are_warnings_in_the_simulation(tmp_path: Path) -> None:
    past = Host(ManualClock(unix_s=1e9), probe.Root(tmp_path / "root"), synchronised=lambda: False)
    site = loaded_site(tmp_path)

    def clock(simulation: bool) -> Level:
        lines = daemon_lines(site, known(), past, simulation=simulation)
        return next(line.level for line in lines if line.name == "clock")

    assert (clock(False), clock(True)) == (Level.FAIL, Level.WARN)


def test_a_missing_log_directory_fails_by_its_name(tmp_path: Path, host: Host) -> None:
    site = loaded_site(tmp_path)
    (tmp_path / "log_dir").rmdir()
    lines = daemon_lines(site, known(), host, simulation=True)
    (line,) = [line for line in lines if line.name == "disk" and line.level is Level.FAIL]
    assert str(tmp_path / "log_dir") in line.found


def test_a_check_that_breaks_down_has_failed_and_the_others_go_on() -> None:
    def broken() -> Iterator[PreflightLine]:
        yield passed("disk", "half of it")
        raise RuntimeError("boom")

    lines = in_order({"disk": broken, "relay": lambda: [passed("relay", "closed")]}, simulation=False)
    assert [(line.name, line.level) for line in lines] == [
        ("disk", Level.PASS),
        ("disk", Level.FAIL),
        ("relay", Level.PASS),
    ]
    assert "RuntimeError: boom" in lines[1].found


def test_only_what_a_laptop_cannot_have_is_softened_in_the_simulation() -> None:
    bad = {name: (lambda name=name: [failed(name, "x", "y")]) for name in CHECKS}
    soft = {line.name for line in in_order(bad, simulation=True) if line.level is Level.WARN}
    assert soft == NO_MORE_THAN_WARN


def test_a_broken_configuration_is_named_with_place_and_remedy(tmp_path: Path) -> None:
    loaded_site(tmp_path)
    (tmp_path / "etc/conf.d/50-typo.yaml").write_text("relay: {seting_pu: 1.1}\n")
    loaded, (line,) = configuration(tmp_path / "etc")
    assert loaded is None
    assert line.level is Level.FAIL
    assert "50-typo.yaml" in line.found
    assert "seting_pu" in line.found
    absent, (missing,) = configuration(tmp_path / "absent")
    assert absent is None
    assert (missing.level, "--config" in missing.remedy) == (Level.FAIL, True)


def test_a_configuration_broken_while_the_daemon_runs_is_a_warning_of_the_next_start(tmp_path: Path) -> None:
    loaded_site(tmp_path)
    assert [line.level for line in configuration_of_daemon(tmp_path / "etc")][-1] is Level.PASS
    (tmp_path / "etc/conf.d/50-typo.yaml").write_text("relay: [\n")
    (line,) = configuration_of_daemon(tmp_path / "etc")
    assert (line.level, "a restart would fail" in line.found) == (Level.WARN, True)


def test_a_register_map_that_is_not_there_is_a_broken_configuration(tmp_path: Path) -> None:
    site = loaded_site(tmp_path)
    (site.config_dir / "conf.d/50-map.yaml").write_text("evses: [{id: US*V2G*E1, dc: {map: no-such-map}}]\n")
    loaded, lines = configuration(site.config_dir)
    assert loaded is None
    assert lines[0].level is Level.FAIL


def test_ports_that_evses_share_are_wanted_once(tmp_path: Path) -> None:
    config = loaded_site(tmp_path).config
    assert [(port.interface, port.protocol, port.port) for port in wanted_ports(config)] == [
        ("evse1", "tcp", 15118),
        ("evse1", "udp", 15118),
        ("evse2", "tcp", 15118),
        ("evse2", "udp", 15118),
    ]
