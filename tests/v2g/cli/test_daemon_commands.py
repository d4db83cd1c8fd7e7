from __future__ import annotations

import datetime
import shutil
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pyiso15118.security import Pki, write_credential, write_trust_anchor
from support.modbus_peer import Ca
from support.sensors import TOP_OIL
from v2g import __version__
from v2g.cli import guard, orchestrator
from v2g.config.problems import ConfigError, Problem
from v2g.control.endpoint import EndpointError

SHIPPED = Path(__file__).parents[3] / "etc" / "v2g"


def run(*words: str) -> Result:
    return CliRunner().invoke(orchestrator.cli, words)


@pytest.fixture
def config_dir(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "v2g"))


def stand_in(monkeypatch: pytest.MonkeyPatch, module: str, name: str, answer: Any) -> list[Any]:
    """Replaces the entry of a process; what it was given is in the list."""
    given: list[Any] = []

    def entry(argument: Any) -> Any:
        given.append(argument)
        if isinstance(answer, Exception):
            raise answer
        return answer

    replacement = types.ModuleType(module)
    setattr(replacement, name, entry)
    package, _, last = module.rpartition(".")
    monkeypatch.setenv("OPENSSL_CONF", "/dev/null")  # the command names ours where none is named
    monkeypatch.setitem(sys.modules, module, replacement)
    monkeypatch.setattr(f"{package}.{last}", replacement, raising=False)
    return given


def test_the_shipped_configuration_holds() -> None:
    result = run("--check-config", "--config", str(SHIPPED))
    assert result.exit_code == 0
    assert result.output.startswith(f"OK: {SHIPPED / 'v2g.yaml'}\n")
    for part in (
        "TR-0412, 250 kVA DIST_ONAN",
        "277 V line to neutral, 60 Hz",
        "ieee1547-III, 8 trip elements, enter service after 300 s, ramp 300 s; settings ",
        "US*V2G*E2  DC on evse2 port 49152, TLS compat",
    ):
        assert part in result.output
    warnings = [line for line in result.output.splitlines() if line.startswith("warning")]
    assert all("no vehicle could connect: " in line for line in warnings)  # this host need not have certificates


def test_the_check_tells_what_protects_and_what_was_adjusted(config_dir: Path) -> None:
    (config_dir / "conf.d").mkdir(exist_ok=True)
    dropin = config_dir / "conf.d" / "50-x.yaml"
    dropin.write_text("grid: {trips: {OV1: {time_s: 12.5}}, enter_service: {random_delay_s: 60}}\n")
    result = run("--check-config", "--config", str(config_dir))
    assert result.exit_code == 0
    assert "enter service after 300 s, random up to 60 s; settings " in result.output
    assert "adjusted   OV1.time_s 13 -> 12.5" in result.output
    dropin.write_text("grid: {nominal_frequency_hz: 50}\n")
    result = run("--check-config", "--config", str(config_dir))
    assert result.exit_code == 0
    assert "protection   no settings: no power is permitted" in result.output
    assert "warning: grid.profile: no profile is named" in result.output


def test_a_configuration_with_mistakes_is_told_whole_and_exit_code_1(config_dir: Path) -> None:
    (config_dir / "conf.d").mkdir(exist_ok=True)
    (config_dir / "conf.d" / "50-x.yaml").write_text(
        "dispatch: {min_soc: 40}\nevses:\n- {id: US*V2G*E1, max_charge_w: 10kW}\n"
    )
    result = run("--check-config", "--config", str(config_dir))
    assert result.exit_code == 1
    assert "the configuration has 2 problems:" in result.stderr
    assert (
        "50-x.yaml:1: dispatch.min_soc: 40: is no known key\n    did you mean min_soc_pct? It is in %" in result.stderr
    )
    assert "50-x.yaml:3: evses[0].max_charge_w: '10kW'" in result.stderr


def test_the_check_also_reads_sensor_map_and_register_maps(config_dir: Path) -> None:
    (config_dir / "sensor_map.conf").write_text("sensors: {top_oil_c: {source: {modbus: {port: 1}}}}\n")
    (config_dir / "conf.d").mkdir(exist_ok=True)
    (config_dir / "conf.d" / "50-x.yaml").write_text("evses:\n- {id: US*V2G*E1, dc: {map: no-such-map}}\n")
    result = run("--check-config", "--config", str(config_dir))
    assert result.exit_code == 1
    assert "sensor_map.conf:1: sensors.top_oil_c.source.modbus.host: is missing" in result.stderr
    (config_dir / "sensor_map.conf").write_text(TOP_OIL, encoding="utf-8")
    result = run("--check-config", "--config", str(config_dir))
    assert "50-x.yaml:2: evses[0].dc.map" in result.stderr
    assert "'no-such-map' is not built in" in result.stderr


def test_the_check_reads_the_map_of_an_ac_evse_and_the_tls_files_of_transducers(config_dir: Path) -> None:
    (config_dir / "conf.d").mkdir(exist_ok=True)
    (config_dir / "conf.d" / "50-x.yaml").write_text(
        "evses:\n- {id: US*V2G*E9, kind: AC, interface: x,\n   ac: {map: no-such-map, modbus: {host: 10.0.0.9}}}\n"
    )
    (config_dir / "sensor_map.conf").write_text(
        "sensors:\n  top_oil_c: {source: {modbus: {host: h, register: 0, tls: {ca: a.pem, certificate: b.pem, key: "
        "k.pem}}},\n    unit: °C, range: [-40, 150]}\n",
        encoding="utf-8",
    )
    result = run("--check-config", "--config", str(config_dir))
    assert result.exit_code == 1
    assert "50-x.yaml:3: evses[2].ac.map: register map 'no-such-map' is not built in" in result.stderr
    for key, name in (("ca", "a"), ("certificate", "b"), ("key", "k")):
        place = f"sensor_map.conf:2: sensors.top_oil_c.source.modbus.tls.{key}"
        assert f"{place}: there is no file {config_dir}/{name}.pem" in result.stderr


def test_a_directory_without_configuration_is_told(tmp_path: Path) -> None:
    result = run("--check-config", "--config", str(tmp_path))
    assert result.exit_code == 1
    assert f"{tmp_path / 'v2g.yaml'}: does not exist" in result.stderr


def test_warnings_are_shown_and_no_reason_to_fail(config_dir: Path) -> None:
    (config_dir / "conf.d").mkdir(exist_ok=True)
    (config_dir / "conf.d" / "50-x.yaml").write_text("grid: {nominal_voltage_v: 480}")
    result = run("--check-config", "--config", str(config_dir))
    assert result.exit_code == 0
    assert "warning: grid.nominal_voltage_v is line to neutral" in result.output


@pytest.mark.parametrize(
    "words",
    [
        ("--vehicles", "2"),
        ("--demo",),
        ("--simulate", "--check-config"),
        ("--simulate", "--vehicles", "0"),
        ("--foreign", "lo:plain"),
        ("--thermal-speed", "60"),
        ("--simulate", "--thermal-speed", "0.5"),
        ("--simulate", "--base-load", "80"),
        ("--simulate", "--base-load", "--80kW"),
        ("--simulate", "--scenario", "morning"),
        ("x",),
    ],
)
def test_options_that_do_not_fit_together_are_exit_code_2(words: tuple[str, ...]) -> None:
    assert run(*words).exit_code == 2


def test_the_daemon_gets_its_directory_and_gives_its_exit_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given = stand_in(monkeypatch, "v2g.orchestrator.main", "run", 5)
    assert run("--config", str(tmp_path)).exit_code == 5
    assert run().exit_code == 5
    assert given == [tmp_path, Path("/etc/v2g")]


def test_the_simulation_gets_its_options(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given = stand_in(monkeypatch, "v2g.simulation.supervisor", "main", 0)
    (tmp_path / "s.yaml").touch()
    words = ("--vehicles", "4", "--demo", "--scenario", str(tmp_path / "s.yaml"), "--run-dir", str(tmp_path))
    conditions = ("--thermal-speed", "60", "--top-oil", "108", "--ambient", "-5", "--base-load", "0kW")
    foreign = ("--vehicles", "0", "--foreign", "eth1:compat", "--overlay", str(tmp_path / "s.yaml"))
    assert run("--simulate", *words).exit_code == 0
    assert run("--simulate").exit_code == 0
    assert run("--simulate", *foreign).exit_code == 0
    assert run("--simulate", *conditions, "--power-factor", "0.9", "--scenario", "evening").exit_code == 0
    evening = given.pop()
    assert run("--simulate", "--base-load", "-190kW").exit_code == 0
    assert given.pop().conditions == {"base_load_w": -190_000.0}
    assert evening.scenario.name == "evening.yaml"
    assert evening.conditions == {
        "thermal_speed": 60.0,
        "top_oil_c": 108.0,
        "ambient_c": -5.0,
        "base_load_w": 0.0,
        "power_factor": 0.9,
    }
    assert given == [
        orchestrator.SimulateOptions(vehicles=4, demo=True, scenario=tmp_path / "s.yaml", run_dir=tmp_path),
        orchestrator.SimulateOptions(vehicles=2, demo=False, scenario=None, run_dir=None),
        orchestrator.SimulateOptions(
            vehicles=0,
            demo=False,
            scenario=None,
            run_dir=None,
            foreign=("eth1:compat",),
            overlays=(tmp_path / "s.yaml",),
        ),
    ]


def test_a_wrong_configuration_ends_the_daemon_with_ex_config(monkeypatch: pytest.MonkeyPatch) -> None:
    error = ConfigError([Problem("/etc/v2g/v2g.yaml", "grid", "", "is missing", "add it", 3)])
    stand_in(monkeypatch, "v2g.orchestrator.main", "run", error)
    result = run()
    assert result.exit_code == 78
    assert "/etc/v2g/v2g.yaml:3: grid: is missing" in result.stderr


def test_a_second_daemon_ends_with_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "v2g.orchestrator.main", "run", EndpointError("another orchestrator (pid 7) serves it"))
    result = run()
    assert (result.exit_code, result.stderr) == (1, "v2g-orchestrator: another orchestrator (pid 7) serves it\n")


@pytest.mark.parametrize("process", ["tick", "wires", "quality"])
def test_the_guard_starts_its_processes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, process: str) -> None:
    given = stand_in(monkeypatch, f"v2g.guard.{process}_main", "main", 4)
    result = CliRunner().invoke(guard.cli, [process, "--config", str(tmp_path)])
    assert (result.exit_code, given) == (4, [tmp_path])


def test_every_command_tells_its_version() -> None:
    assert run("--version").output == f"cli {__version__}\n"


def test_modbus_tls_is_checked_with_its_files(config_dir: Path) -> None:
    pki = config_dir / "pki"
    pki.mkdir()
    ca = Ca(pki)
    ca.issue("guard", role="operator")
    ca.issue("bare")

    def check(certificate: str, port: int = 802) -> Result:
        files = f"{{ca: pki/CA.pem, certificate: pki/{certificate}.pem, key: pki/{certificate}.key}}"
        (config_dir / "conf.d").mkdir(exist_ok=True)
        (config_dir / "conf.d" / "50-tls.yaml").write_text(
            f"evses: [{{id: US*V2G*E1, inverter: {{modbus: {{port: {port}, tls: {files}}}}}}}]\n"
        )
        return run("--check-config", "--config", str(config_dir))

    result = check("guard")
    assert result.exit_code == 0, result.output
    assert "bears no role" not in result.stdout
    assert "tls with port 502, which is plain Modbus; Modbus/TCP Security has port 802" in check("guard", 502).stdout
    result = check("bare")
    assert result.exit_code == 0
    assert "bare.pem bears no role (extension 1.3.6.1.4.1.50316.802.1)" in result.stdout
    result = check("missing")
    assert result.exit_code == 1
    for key in ("certificate", "key"):
        assert f"50-tls.yaml:1: evses[0].inverter.modbus.tls.{key}: there is no file {pki}/missing." in result.stderr
    (pki / "guard.key").chmod(0o644)
    assert f"chmod 600 {pki}/guard.key" in check("guard").output


def test_the_check_tells_what_vehicles_would_be_served_with(config_dir: Path) -> None:
    result = run("--check-config", "--config", str(config_dir))
    assert "warning: no vehicle could connect: " in result.stdout
    pki = Pki(not_before=datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1))
    secc = write_credential(pki.secc("SECC1"), config_dir / "keys", "secc")
    trust = write_trust_anchor(pki.oem_root, config_dir / "keys", "oem")
    (config_dir / "conf.d").mkdir(exist_ok=True)
    (config_dir / "conf.d" / "50-pki.yaml").write_text(
        f"pki: {{strict_chain: {secc.chain}, strict_key: {secc.key}, strict_trust: {trust}}}\n"
    )
    result = run("--check-config", "--config", str(config_dir))
    assert result.exit_code == 0, result.output
    line = next(line for line in result.stdout.splitlines() if line.startswith("  TLS  "))
    assert "US*V2G*E1" in line
    assert "TLSv1.3, TLS_AES_256_GCM_SHA384, secp521r1, ecdsa_secp521r1_sha512; groups secp521r1 x448" in line
    assert "TLS 1.2 (protocol_version)" in line
    assert "warning: profile strict: no OCSP response is stapled" in result.stdout
    assert "warning: US*V2G*E2: no vehicle could connect: " in result.stdout
