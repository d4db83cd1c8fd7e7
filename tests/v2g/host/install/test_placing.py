"""Which file goes where: every file that is shipped has a place, and units name the commands of this installation."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path, PurePosixPath

import pytest

from v2g.host.install.commands import NAMES
from v2g.host.install.placing import place, target_of, with_commands
from v2g.host.install.source import shipped

ROOT = Path(__file__).parents[4]
SLOT = PurePosixPath("/opt/v2g/current/bin")
PROVEN = PurePosixPath("/opt/v2g/proven/bin")


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("etc/v2g/v2g.yaml", "/etc/v2g/v2g.yaml"),
        ("etc/v2g/devices/victron-vebus.yaml", "/etc/v2g/devices/victron-vebus.yaml"),
        ("etc/logrotate.d/v2g", "/etc/logrotate.d/v2g"),
        ("etc/grafana/v2g.json", "/etc/v2g/examples/grafana/v2g.json"),
        ("systemd/v2g-orchestrator.service", "/etc/systemd/system/v2g-orchestrator.service"),
        ("systemd/v2g-cert-renew.timer", "/etc/systemd/system/v2g-cert-renew.timer"),
        ("systemd/v2g-guard-tick.service.d/x.conf", "/etc/systemd/system/v2g-guard-tick.service.d/x.conf"),
        ("systemd/sysusers.d/v2g.conf", "/etc/sysusers.d/v2g.conf"),
        ("systemd/tmpfiles.d/v2g.conf", "/etc/tmpfiles.d/v2g.conf"),
        ("systemd/udev/70-v2g-led.rules", "/etc/udev/rules.d/70-v2g-led.rules"),
        ("systemd/README", None),
        ("README.md", None),
    ],
)
def test_each_kind_of_file_has_its_place(source: str, target: str | None) -> None:
    assert target_of(source) == target


def test_every_shipped_file_is_installed_somewhere_of_its_own() -> None:
    files = shipped().files
    placed = place(files, SLOT, {})
    assert len({each.path for each in placed}) == len(files)


def test_every_unit_names_the_commands_where_they_are_and_no_others() -> None:
    units = [each for each in place(shipped().files, SLOT, {}) if each.path.endswith(".service")]
    for unit in units:
        commands = re.findall(rb"^Exec(?:Start|Reload)=(/\S+)", unit.data, re.MULTILINE)
        assert commands
        # What takes back a broken version is not of that version.
        wanted = PROVEN if unit.path.endswith("v2g-firmware-boot.service") else SLOT
        assert all(Path(each.decode()).parent == Path(wanted) for each in commands if each != b"/bin/kill"), unit.path
        # What was there already stays byte for byte.
        assert (
            unit.data.replace(b"/opt/v2g/current/bin", b"/usr/bin").replace(b"/usr /usr/bin ", b"/usr ")
            == (ROOT / "systemd" / Path(unit.path).name).read_bytes()
        )


def test_a_unit_that_is_early_waits_for_the_place_of_its_command() -> None:
    unit = next(each for each in place(shipped().files, SLOT, {}) if each.path.endswith("v2g-firewall.service"))
    assert b"RequiresMountsFor=/usr /opt/v2g/current/bin " in unit.data


def test_units_of_usr_bin_stay_as_they_are() -> None:
    data = (ROOT / "systemd/v2g-orchestrator.service").read_bytes()
    assert with_commands(data, PurePosixPath("/usr/bin")) == data


def test_a_command_of_the_host_is_not_taken_for_ours() -> None:
    text = b"ExecStartPre=-/usr/bin/true\nExecStart=/usr/bin/v2g-guardian x\nExecStart=/usr/bin/v2g-guard x\n"
    assert with_commands(text, SLOT) == text.replace(b"/usr/bin/v2g-guard ", b"/opt/v2g/current/bin/v2g-guard ")


def test_scripts_can_be_run_and_nothing_else() -> None:
    modes = {each.path: each.mode for each in place(shipped().files, SLOT, {})}
    assert modes["/etc/v2g/examples/meter_csv_adapter.py"] == 0o755
    assert modes["/etc/v2g/v2g.yaml"] == 0o644


def test_the_names_of_the_commands_are_those_of_the_project() -> None:
    assert set(NAMES) == set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"])


def test_the_wheel_gets_every_file_that_is_shipped() -> None:
    tables = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["data-files"]
    found = {}
    for target, patterns in tables.items():
        for pattern in patterns:
            for path in ROOT.glob(pattern):
                found[f"{target}/{path.name}".removeprefix("share/v2g/")] = path.relative_to(ROOT).as_posix()
    assert {name: name for name in shipped().files} == found
