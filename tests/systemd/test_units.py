"""The unit files by themselves: what can be read without systemd, and what systemd's own tools say of them."""

from __future__ import annotations

import grp
import os
import shutil
import struct
import subprocess
import tomllib
from pathlib import Path

import pytest

from v2g.config.schema import Paths, Roles
from v2g.guard.quality_process import NICE

ROOT = Path(__file__).parents[2]
UNITS = sorted((ROOT / "systemd").glob("*.service"))
NAMES = [
    "v2g-guard-quality.service",
    "v2g-guard-tick.service",
    "v2g-guard-wires.service",
    "v2g-orchestrator.service",
]
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


def test_there_are_the_orchestrator_and_its_guards() -> None:
    assert [unit.name for unit in UNITS] == NAMES


def test_a_stop_is_told_to_the_orchestrator_alone_which_ends_its_planning_itself() -> None:
    assert of("v2g-orchestrator.service")["Service.KillMode"] == ["mixed"]


@pytest.mark.parametrize("name", NAMES)
def test_each_unit_starts_a_command_of_this_project(name: str) -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    program, *words = of(name)["Service.ExecStart"][0].split()
    assert Path(program).parent == Path("/usr/bin")
    assert Path(program).name in scripts
    assert words[-2:] == ["--config", "/etc/v2g"]


@pytest.mark.parametrize("name", NAMES)
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
    assert service["Service.User"] == ["v2g"]
    assert set(service["Service.CapabilityBoundingSet"][0].split()) <= {"CAP_SYS_NICE", "CAP_IPC_LOCK"}
    assert "tick" in name or service["Service.CapabilityBoundingSet"] == [""]
    assert service["Service.NoNewPrivileges"] == ["yes"]
    assert service["Service.ProtectSystem"] == ["strict"]


@pytest.mark.parametrize("name", NAMES)
def test_what_a_unit_writes_can_be_read_by_its_group(name: str) -> None:
    assert of(name)["Service.UMask"] == ["0027"]
    assert of(name)["Service.LogsDirectoryMode"] == ["0750"]


def test_every_role_may_read_the_logs_and_those_written_later() -> None:
    lines = [line.split() for line in (ROOT / "systemd/tmpfiles.d/v2g.conf").read_text().splitlines()]
    lists = [line[6].split(",") for line in lines if line[0] == "a+" and line[1] == Paths().log_dir]
    entries = {entry for items in lists for entry in items}
    roles = Roles()
    for group in (roles.viewer, roles.utility, roles.operator, roles.engineer):
        assert {f"group:{group}:r-x", f"default:group:{group}:r-x"} <= entries
    assert {"default:user::rwx", "default:group::r-x", "default:other::---"} <= entries


@pytest.mark.parametrize("command", ["systemd-sysusers", "systemd-tmpfiles --create", "systemctl daemon-reload"])
def test_the_readme_names_what_installing_takes(command: str) -> None:
    assert command in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_the_end_of_one_unit_leaves_the_shared_directories(name: str) -> None:
    service = of(name)
    directories = Paths()
    assert f"/run/{service['Service.RuntimeDirectory'][0]}" == directories.run_dir
    assert service["Service.RuntimeDirectoryPreserve"] == ["yes"]
    assert f"/var/lib/{service['Service.StateDirectory'][0]}" == directories.state_dir
    assert f"/var/log/{service['Service.LogsDirectory'][0]}" == directories.log_dir


def test_the_orchestrator_brings_the_guard_and_its_restart_does_not_open_the_breaker() -> None:
    unit = of("v2g-orchestrator.service")
    for guard in NAMES[:-1]:
        assert guard in unit["Unit.Wants"][0].split()
        assert guard in unit["Unit.After"][0].split()
        assert not {"Unit.PartOf", "Unit.BindsTo", "Unit.Requires"} & set(of(guard))
        assert of(guard)["Unit.StartLimitIntervalSec"] == ["0"]


@pytest.mark.parametrize("name", ["v2g-orchestrator.service", "v2g-guard-tick.service"])
def test_what_is_read_under_proc_is_not_hidden(name: str) -> None:
    assert "Service.ProcSubset" not in of(name)


def test_tick_may_have_real_time_priority_and_locked_memory_and_no_network() -> None:
    tick = of("v2g-guard-tick.service")
    assert int(tick["Service.LimitRTPRIO"][0]) >= 60
    assert tick["Service.LimitMEMLOCK"] == ["infinity"]
    assert "Service.RestrictRealtime" not in tick
    assert "@resources" not in " ".join(tick["Service.SystemCallFilter"])
    assert tick["Service.RestrictAddressFamilies"] == ["AF_UNIX"]


def test_power_quality_is_behind_everything_that_protects_and_has_no_network() -> None:
    quality = of("v2g-guard-quality.service")
    assert quality["Service.Nice"] == [str(NICE)]
    assert quality["Service.RestrictAddressFamilies"] == ["AF_UNIX"]
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
    assert [line[1] for line in lines if line[0] == "u"] == ["v2g"]


def test_the_directories_are_those_of_the_configuration() -> None:
    lines = [line.split() for line in (ROOT / "systemd/tmpfiles.d/v2g.conf").read_text().splitlines()]
    modes = {line[1]: line[2] for line in lines if line[0] == "d"}
    directories = Paths()
    assert modes[directories.run_dir] == "0755"
    assert modes[directories.state_dir] == modes[directories.log_dir] == "0750"
    assert modes[f"{directories.state_dir}/pki"] == "0700"


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Copies of the units whose commands exist on this machine."""
    stand_in = shutil.which("true")
    for unit in UNITS:
        lines = unit.read_text().splitlines()
        lines = [f"ExecStart={stand_in}" if line.startswith("ExecStart=") else line for line in lines]
        (tmp_path / unit.name).write_text("\n".join(lines) + "\n")
    return tmp_path


def tool(*words: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed")
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, input=text)


@pytest.mark.systemd
def test_systemd_finds_nothing_wrong(installed: Path) -> None:
    done = tool("systemd-analyze", "verify", "--man=no", *(str(installed / name) for name in NAMES))
    ours = [line for line in done.stderr.splitlines() if "v2g" in line]
    assert (done.returncode, ours) == (0, [])


@pytest.mark.systemd
@pytest.mark.parametrize("name", NAMES)
def test_systemd_calls_the_exposure_low(installed: Path, name: str) -> None:
    done = tool("systemd-analyze", "security", "--offline=yes", "--threshold=20", str(installed / name))
    assert done.returncode == 0, done.stdout[-300:]


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
    assert (tmp_path / "run/v2g").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "var/lib/v2g/pki").stat().st_mode & 0o777 == 0o700


@pytest.mark.systemd
def test_a_new_log_can_be_read_by_the_groups_after_the_units_have_set_their_modes(tmp_path: Path) -> None:
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
    folder.chmod(0o750)
    umask = os.umask(0o027)
    try:
        os.close(os.open(folder / "comms.log", os.O_CREAT | os.O_WRONLY, 0o640))
    finally:
        os.umask(umask)
    for path, may in ((folder, 5), (folder / "comms.log", 4)):
        raw = os.getxattr(path, "system.posix_acl_access")
        entries = [struct.unpack_from("<HHI", raw, at) for at in range(4, len(raw), 8)]
        mask = next(bits for tag, bits, _ in entries if tag == 0x10)
        assert {gid for tag, bits, gid in entries if tag == 0x08 and bits & mask == may} == set(ids.values())
        assert next(bits for tag, bits, _ in entries if tag == 0x20) == 0
