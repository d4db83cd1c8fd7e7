"""The unit files by themselves: what can be read without systemd, and what systemd's own tools say of them."""

from __future__ import annotations

import grp
import os
import re
import shutil
import struct
import subprocess
import tomllib
from pathlib import Path

import msgspec
import pytest

from support.unit_report import exposure
from v2g.config.schema import Control, Paths, Pki, Roles
from v2g.config.schema_sessions import SessionsConfig
from v2g.guard.quality_process import NICE
from v2g.telemetry.logs import LOG_NAMES

ROOT = Path(__file__).parents[2]
UNITS = sorted((ROOT / "systemd").glob("*.service"))
DRIVER = "kplc-driver.service"
NAMES = [
    DRIVER,
    "v2g-guard-quality.service",
    "v2g-guard-tick.service",
    "v2g-guard-wires.service",
    "v2g-orchestrator.service",
]
"""Of the daemons."""
FIRMWARE = "v2g-firmware-boot.service"
OTHERS = ["v2g-audit-verify.service", "v2g-cert-renew.service", "v2g-firewall.service", FIRMWARE]
ALL = sorted([*NAMES, *OTHERS])
GUARDS = NAMES[1:-1]
CAPABILITIES = {
    "v2g-guard-tick.service": ["CAP_SYS_NICE CAP_IPC_LOCK"],
    DRIVER: ["CAP_NET_RAW CAP_NET_ADMIN"],
}
EXPOSURE_LIMIT = 1.5
HARDENING = {
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    # Where /proc is a unit's own, systemd 252 leaves /run writable.
    "ReadOnlyPaths": "/run",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "DevicePolicy": "closed",
    "PrivateMounts": "yes",
    "PrivateIPC": "yes",
    "KeyringMode": "private",
    "ProtectKernelTunables": "yes",
    "ProtectKernelModules": "yes",
    "ProtectKernelLogs": "yes",
    "ProtectControlGroups": "yes",
    "ProtectClock": "yes",
    "ProtectHostname": "yes",
    "ProtectProc": "invisible",
    "RestrictNamespaces": "yes",
    "RestrictSUIDSGID": "yes",
    "LockPersonality": "yes",
    "SystemCallArchitectures": "native",
    "SystemCallErrorNumber": "EPERM",
    "LimitCORE": "0",
    "CoredumpFilter": "0",
}
"""What every unit has; ``systemd-analyze security`` counts most of it."""
OPEN = {
    ("v2g-orchestrator.service", "MemoryDenyWriteExecute"): "pyOpenSSL's callbacks are made in such memory",
    ("v2g-guard-tick.service", "RestrictRealtime"): "SCHED_FIFO is what keeps its 10 ms",
    ("v2g-guard-tick.service", "PrivateUsers"): "it has to tell the orchestrator's user in tick.sock",
    (DRIVER, "PrivateUsers"): "its capabilities are for the host's interfaces",
    (DRIVER, "PrivateNetwork"): "modems are at the host's interfaces",
    ("v2g-guard-wires.service", "PrivateUsers"): "it has to tell the orchestrator's user in wires.sock",
    ("v2g-orchestrator.service", "PrivateUsers"): "roles at the control socket are by user",
    ("v2g-cert-renew.service", "PrivateUsers"): "it asks the daemon by the control socket, as its user",
    ("v2g-firewall.service", "PrivateUsers"): "rules of the host's network need its capability outside",
    ("v2g-guard-wires.service", "PrivateNetwork"): "inverters are on the network",
    ("v2g-orchestrator.service", "PrivateNetwork"): "vehicles are on the network",
    ("v2g-cert-renew.service", "PrivateNetwork"): "the utility's server is on the network",
    ("v2g-firewall.service", "PrivateNetwork"): "it sets the rules of the host's network",
    ("v2g-firewall.service", "ProcSubset"): "boot_id dates the rules",
    ("v2g-firewall.service", "RemoveIPC"): "of root's nothing is removed",
    (FIRMWARE, "PrivateUsers"): "databases stay their users'",
    (FIRMWARE, "RemoveIPC"): "of root's nothing is removed",
}
"""What of ``TIGHT`` a unit has not, and why."""
TIGHT = {
    "MemoryDenyWriteExecute": "yes",
    "RestrictRealtime": "yes",
    "PrivateUsers": "yes",
    "PrivateNetwork": "yes",
    "ProcSubset": "pid",
    "RemoveIPC": "yes",
}
WATCHDOG_S = {"v2g-guard-tick.service": 1.0, "v2g-guard-quality.service": 10.0}


def settings(unit: Path) -> dict[str, list[str]]:
    """``Section.Key`` -> its values in order."""
    found: dict[str, list[str]] = {}
    section = ""
    for line in unit.read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(f"{section}.{key}", []).append(value)
    return found


def of(name: str) -> dict[str, list[str]]:
    return settings(ROOT / "systemd" / name)


def seconds(text: str) -> float:
    return float(text.removesuffix("ms")) / 1000 if text.endswith("ms") else float(text.removesuffix("s"))


def test_there_are_the_orchestrator_its_guards_the_driver_of_modems_and_four_that_run_once() -> None:
    assert [unit.name for unit in UNITS] == ALL
    assert {name for name in ALL if of(name)["Service.Type"] == ["oneshot"]} == set(OTHERS)


@pytest.mark.parametrize("name", ALL)
def test_each_unit_has_the_whole_sandbox(name: str) -> None:
    service = of(name)
    assert {key: service.get(f"Service.{key}") for key in HARDENING} == {k: [v] for k, v in HARDENING.items()}


@pytest.mark.parametrize("key", TIGHT)
@pytest.mark.parametrize("name", ALL)
def test_what_is_left_open_has_a_reason(name: str, key: str) -> None:
    found = of(name).get(f"Service.{key}", ["no"])
    assert found == (["no"] if (name, key) in OPEN else [TIGHT[key]])


@pytest.mark.parametrize("name", ALL)
def test_no_unit_may_call_what_it_has_no_use_for(name: str) -> None:
    first, *removed = of(name)["Service.SystemCallFilter"]
    assert first == "@system-service"
    taken = {word for line in removed if line.startswith("~") for word in line.removeprefix("~").split()}
    given = {word for line in removed if not line.startswith("~") for word in line.split()}
    assert {"@privileged", "@resources", "@aio", "@keyring"} <= taken
    assert given <= {"sched_setscheduler", "sched_setaffinity", "setpriority"}


@pytest.mark.parametrize("name", ALL)
def test_nothing_that_can_be_written_can_be_executed(name: str) -> None:
    service = of(name)
    paths = {path.removeprefix("-") for line in service.get("Service.ReadWritePaths", []) for path in line.split()}
    paths |= {f"/var/lib/{path}" for path in service.get("Service.StateDirectory", [])}
    # Where its own program is.
    paths -= {"/opt/v2g"} if name == FIRMWARE else set()
    bare = {path.removeprefix("-") for line in service["Service.NoExecPaths"] for path in line.split()}
    assert paths | {"/tmp", "/var/tmp", "/dev/shm"} <= bare
    # With ExecPaths= systemd 252 mounts what is named there writable, whatever ProtectSystem= says.
    assert "Service.ExecPaths" not in service


def test_the_configuration_is_read_only_but_for_the_drop_ins_of_the_orchestrator() -> None:
    for name in ALL:
        paths = " ".join(of(name).get("Service.ReadWritePaths", [])).split()
        assert [path for path in paths if "/etc/v2g" in path] == (
            ["-/etc/v2g/conf.d"] if name == "v2g-orchestrator.service" else []
        )
        assert ("/etc/ssl/v2g" in " ".join(paths)) == (name == "v2g-cert-renew.service")
        assert "Service.ConfigurationDirectory" not in of(name)


def test_the_pin_of_a_token_is_a_credential_and_its_example_takes_a_path() -> None:
    # systemd 252 finds no credential by its name alone; with a path, it has to be there, or nothing starts.
    for name in ("v2g-orchestrator.service", "v2g-cert-renew.service"):
        text = (ROOT / "systemd" / name).read_text()
        assert "\n#LoadCredential=v2g-token-pin:/etc/credstore/v2g-token-pin\n" in text
        assert "Service.LoadCredential" not in of(name)


def test_the_guard_and_the_driver_of_modems_run_as_users_of_their_own() -> None:
    users = dict.fromkeys(GUARDS, "v2g-guard") | {DRIVER: "v2g-plc"}
    for name in NAMES:
        assert of(name)["Service.User"] == [users.get(name, Control().daemon_user)]
        assert of(name)["Service.Group"] == ["v2g"]


def test_a_stop_is_told_to_the_orchestrator_alone_which_ends_its_planning_itself() -> None:
    assert of("v2g-orchestrator.service")["Service.KillMode"] == ["mixed"]


@pytest.mark.parametrize("name", ALL)
def test_each_unit_starts_a_command_of_this_project(name: str) -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    program, *words = of(name)["Service.ExecStart"][0].split()
    assert Path(program).parent == Path("/opt/v2g/proven/bin" if name == FIRMWARE else "/usr/bin")
    assert Path(program).name in scripts
    assert words[-2:] == ["--config", "/etc/v2g"]


@pytest.mark.parametrize("name", ALL)
def test_each_unit_points_to_a_file_that_is_installed(name: str) -> None:
    (document,) = of(name)["Unit.Documentation"]
    assert (ROOT / document.removeprefix("file:/")).is_file()


def test_a_reload_is_a_signal_to_the_orchestrator() -> None:
    assert of("v2g-orchestrator.service")["Service.ExecReload"] == ["/bin/kill -HUP $MAINPID"]


def test_log_rotation_covers_the_log_directory_and_needs_no_signal() -> None:
    text = (ROOT / "etc/logrotate.d/v2g").read_text()
    assert f"{Paths().log_dir}/*.log {{" in text
    words = {line.strip() for line in text.splitlines()}
    assert "nocreate" in words
    # A reload puts edited settings into force: rotation must not.
    assert not {"copytruncate", "postrotate", "prerotate", "lastaction", "firstaction", "create"} & words


@pytest.mark.parametrize("name", NAMES)
def test_each_unit_is_watched_restarted_and_unprivileged(name: str) -> None:
    service = of(name)
    assert service["Service.Type"] == ["notify"]
    assert seconds(service["Service.WatchdogSec"][0]) == WATCHDOG_S.get(name, 2.0)
    assert seconds(service["Service.RestartSec"][0]) == 0.2
    assert service["Service.Restart"][0] in ("on-failure", "always")
    assert "78" in service["Service.RestartPreventExitStatus"][0].split()
    expected = CAPABILITIES.get(name, [""])
    assert service["Service.CapabilityBoundingSet"] == service["Service.AmbientCapabilities"] == expected


@pytest.mark.parametrize("name", NAMES)
def test_what_a_unit_writes_is_for_its_group(name: str) -> None:
    assert of(name)["Service.UMask"] == ["0007"]


def test_every_role_may_read_the_logs_and_those_written_later() -> None:
    lines = [line.split() for line in (ROOT / "systemd/tmpfiles.d/v2g.conf").read_text().splitlines()]
    lists = [line[6].split(",") for line in lines if line[0] == "a+" and line[1] == Paths().log_dir]
    entries = {entry for items in lists for entry in items}
    roles = Roles()
    for group in (roles.viewer, roles.utility, roles.operator, roles.engineer):
        assert {f"group:{group}:r-x", f"default:group:{group}:r-x"} <= entries
    assert {"default:user::rwx", "default:group::rwx", "default:other::---"} <= entries


@pytest.mark.parametrize("command", ["systemd-sysusers", "systemd-tmpfiles --create", "systemctl daemon-reload"])
def test_the_readme_names_what_installing_takes(command: str) -> None:
    assert command in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_a_unit_leaves_the_shared_directories_as_they_are(name: str) -> None:
    service = of(name)
    directories = Paths()
    paths = service["Service.ReadWritePaths"][-1].split()
    state = [] if name == DRIVER else [directories.state_dir]
    assert paths == [directories.run_dir, *state, directories.log_dir]
    # These would give the directory to the user of the unit that starts last, with all that is in it.
    assert not {f"Service.{kind}Directory" for kind in ("Runtime", "State", "Logs")} & set(service)


def test_the_orchestrator_brings_the_guard_and_its_restart_does_not_open_the_breaker() -> None:
    unit = of("v2g-orchestrator.service")
    for guard in GUARDS:
        assert guard in unit["Unit.Wants"][0].split()
        assert guard in unit["Unit.After"][0].split()
        assert not {"Unit.PartOf", "Unit.BindsTo", "Unit.Requires"} & set(of(guard))
        assert of(guard)["Unit.StartLimitIntervalSec"] == ["0"]


def test_the_orchestrator_brings_the_driver_of_modems_and_lives_without_it() -> None:
    unit, driver = of("v2g-orchestrator.service"), of(DRIVER)
    assert DRIVER in unit["Unit.Wants"][0].split()
    assert DRIVER in unit["Unit.After"][0].split()
    assert "v2g-orchestrator.service" in driver["Unit.Before"][0].split()
    assert not {"Unit.PartOf", "Unit.BindsTo", "Unit.Requires"} & (set(unit) | set(driver))
    # Its end is 0 where there is nothing to do: not to be started again and again.
    assert driver["Service.Restart"] == ["on-failure"]
    assert driver["Unit.StartLimitIntervalSec"] == ["0"]


def test_the_driver_of_modems_has_raw_ethernet_the_firewall_and_no_internet() -> None:
    driver = of(DRIVER)
    assert driver["Service.RestrictAddressFamilies"] == ["AF_UNIX AF_PACKET AF_NETLINK"]
    assert driver["Service.IPAddressDeny"] == ["any"]
    assert {"-/etc/ssl/v2g", "-/var/lib/v2g"} <= set(driver["Service.InaccessiblePaths"][0].split())
    # nft is run by it: where programs are must not be where none can run.
    assert not any(path.startswith(("/usr", "/bin", "/sbin")) for path in driver["Service.NoExecPaths"][0].split())


def test_tick_is_told_the_boot_that_it_cannot_look_up() -> None:
    assert of("v2g-guard-tick.service")["Service.Environment"] == ["V2G_BOOT_ID=%b"]


def test_tick_may_have_real_time_priority_and_locked_memory_and_no_network() -> None:
    tick = of("v2g-guard-tick.service")
    assert int(tick["Service.LimitRTPRIO"][0]) >= 60
    assert tick["Service.LimitMEMLOCK"] == ["infinity"]
    assert "Service.RestrictRealtime" not in tick
    assert tick["Service.SystemCallFilter"][-1] == "sched_setscheduler sched_setaffinity"
    assert tick["Service.RestrictAddressFamilies"] == ["AF_UNIX"]
    assert tick["Service.IPAddressDeny"] == ["any"]


@pytest.mark.parametrize("name", ["v2g-audit-verify", "v2g-cert-renew"])
def test_what_is_done_daily_is_made_up_for_and_not_by_all_at_once(name: str) -> None:
    timer = settings(ROOT / "systemd" / f"{name}.timer")
    assert timer["Timer.OnCalendar"] == ["daily"]
    assert timer["Timer.Persistent"] == timer["Timer.FixedRandomDelay"] == ["yes"]
    assert seconds_of_hours(timer["Timer.RandomizedDelaySec"][0]) >= 3600
    assert timer["Install.WantedBy"] == ["timers.target"]
    assert "Install.WantedBy" not in of(f"{name}.service")


def seconds_of_hours(text: str) -> float:
    return float(text.removesuffix("h")) * 3600


def test_the_check_of_the_audit_log_reads_as_the_daemon_and_writes_nothing() -> None:
    audit = of("v2g-audit-verify.service")
    assert audit["Service.ExecStart"] == ["/usr/bin/v2g-tool audit verify --config /etc/v2g"]
    assert audit["Service.User"] == [Control().daemon_user]
    assert "Service.ReadWritePaths" not in audit
    assert audit["Service.RestrictAddressFamilies"] == ["AF_UNIX"]
    # A finding is a unit that failed: nothing may hide its exit code.
    assert not audit["Service.ExecStart"][0].startswith("-")
    assert "Service.SuccessExitStatus" not in audit


def test_a_stop_leaves_the_orchestrator_the_time_of_the_longest_drain() -> None:
    fields = msgspec.json.schema(SessionsConfig)["$defs"]["SessionsConfig"]["properties"]
    # The vehicle's own time to act, then 15 s for what follows; and ten more, that no drain is ever cut off.
    longest = fields["notification_delay_s"]["maximum"] + 15.0
    assert seconds(of("v2g-orchestrator.service")["Service.TimeoutStopSec"][0]) >= longest + 10.0


def test_a_drop_in_for_cpus_is_shipped_and_is_one_that_systemd_reads() -> None:
    found = settings(ROOT / "etc/v2g/examples/cpu-affinity.conf.example")
    assert set(found) == {"Service.CPUAffinity"}


def test_power_quality_is_behind_everything_that_protects_and_has_no_network() -> None:
    quality = of("v2g-guard-quality.service")
    assert quality["Service.Nice"] == [str(NICE)]
    assert quality["Service.RestrictAddressFamilies"] == ["AF_UNIX"]
    assert quality["Service.IPAddressDeny"] == ["any"]
    assert int(quality["Service.OOMScoreAdjust"][0]) > int(of("v2g-guard-wires.service")["Service.OOMScoreAdjust"][0])


def test_the_groups_are_those_of_the_roles() -> None:
    lines = [line.split() for line in (ROOT / "systemd/sysusers.d/v2g.conf").read_text().splitlines()]
    roles = Roles()
    assert {line[1] for line in lines if line[0] == "g"} == {
        roles.viewer,
        roles.operator,
        roles.engineer,
        roles.utility,
    }
    assert [line[1:3] for line in lines if line[0] == "u"] == [
        ["v2g", "-"],
        ["v2g-guard", "-:v2g"],
        ["v2g-plc", "-:v2g"],
    ]


def test_the_directories_are_those_of_the_configuration() -> None:
    lines = [line.split() for line in (ROOT / "systemd/tmpfiles.d/v2g.conf").read_text().splitlines()]
    made = {line[1]: line[2:5] for line in lines if line[0] == "d"}
    directories = Paths()
    # Sticky: of what the guard makes there, the orchestrator can neither remove nor replace anything.
    assert made[directories.run_dir] == ["3775", "v2g-guard", "v2g"]
    assert made[directories.state_dir] == ["3770", "v2g-guard", "v2g"]
    assert made[directories.log_dir] == ["2770", "v2g", "v2g"]
    for folder in ("", "/compat", "/crl"):
        assert made[f"{Pki().dir}{folder}"] == ["0750", "v2g", "v2g"]
    logs = {Path(line[1]).stem: line[2:5] for line in lines if line[0] == "f"}
    assert logs == {name: ["0640" if name == "audit" else "0660", "v2g", "v2g"] for name in LOG_NAMES}


_COMMAND = re.compile(r"^Exec\w+=(/usr/bin|/opt/v2g/proven/bin)/")


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Copies of the units whose commands exist on this machine."""
    stand_in = shutil.which("true")
    for unit in UNITS:
        lines = unit.read_text().splitlines()
        lines = [f"{line.partition('=')[0]}={stand_in}" if _COMMAND.search(line) else line for line in lines]
        (tmp_path / unit.name).write_text("\n".join(lines) + "\n")
    for timer in (ROOT / "systemd").glob("*.timer"):
        shutil.copy(timer, tmp_path)
    return tmp_path


def tool(*words: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed")
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, input=text)


@pytest.mark.systemd
def test_systemd_finds_nothing_wrong(installed: Path) -> None:
    names = [*ALL, *(timer.name for timer in (ROOT / "systemd").glob("*.timer"))]
    done = tool("systemd-analyze", "verify", "--man=no", *(str(installed / name) for name in names))
    ours = [line for line in done.stderr.splitlines() if "v2g" in line or "kplc" in line]
    assert (done.returncode, ours) == (0, [])


@pytest.mark.systemd
@pytest.mark.parametrize("name", ALL)
def test_the_exposure_is_below_the_limit(installed: Path, name: str) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    whole, rows = exposure(installed / name)
    assert whole <= EXPOSURE_LIMIT, rows


@pytest.mark.systemd
def test_users_groups_and_directories_are_made(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    users = tool("systemd-sysusers", f"--root={tmp_path}", "-", text=(ROOT / "systemd/sysusers.d/v2g.conf").read_text())
    assert users.returncode == 0, users.stderr
    groups = {line.split(":")[0] for line in (tmp_path / "etc/group").read_text().splitlines()}
    assert {"v2g", "v2g-viewer", "v2g-operator", "v2g-engineer", "v2g-utility"} <= groups
    made = tool(
        "systemd-tmpfiles",
        f"--root={tmp_path}",
        "--create",
        "-",
        text=(ROOT / "systemd/tmpfiles.d/v2g.conf").read_text(),
    )
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "run/v2g").stat().st_mode & 0o7777 == 0o3775
    assert (tmp_path / "etc/ssl/v2g/crl").stat().st_mode & 0o7777 == 0o750
    assert not (tmp_path / "var/lib/v2g/pki").exists()


@pytest.mark.systemd
def test_every_log_can_be_read_by_the_groups_of_the_roles(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    tool("systemd-sysusers", f"--root={tmp_path}", "-", text=(ROOT / "systemd/sysusers.d/v2g.conf").read_text())
    text = (ROOT / "systemd/tmpfiles.d/v2g.conf").read_text()
    # Access lists are looked up among the groups of this host, which has not ours.
    ids = {}
    for role, group in zip(("viewer", "utility", "operator", "engineer"), grp.getgrall(), strict=False):
        text = text.replace(f"v2g-{role}", group.gr_name)
        ids[role] = group.gr_gid
    made = tool("systemd-tmpfiles", f"--root={tmp_path}", "--create", "-", text=text)
    assert (made.returncode, made.stderr) == (0, "")
    folder = tmp_path / "var/log/v2g"
    umask = os.umask(0o007)
    try:
        os.close(os.open(folder / "new.log", os.O_CREAT | os.O_WRONLY, 0o660))
    finally:
        os.umask(umask)
    for path, may in ((folder, 5), *((folder / f"{name}.log", 4) for name in (*LOG_NAMES, "new"))):
        raw = os.getxattr(path, "system.posix_acl_access")
        entries = [struct.unpack_from("<HHI", raw, at) for at in range(4, len(raw), 8)]
        mask = next(bits for tag, bits, _ in entries if tag == 0x10)
        assert {gid for tag, bits, gid in entries if tag == 0x08 and bits & mask & 7 == may} == set(ids.values())
        assert next(bits for tag, bits, _ in entries if tag == 0x20) == 0
