"""The Debian package in a booted systemd without a network, beside a simulated site that is waiting in /srv."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path

from support.booted import Booted
from support.booted_site import EVSE_INTERFACE, MODEM_INTERFACE, site_files
from v2g.host.packaging.deb import deb
from v2g.host.packaging.deb_files import PREFIX
from v2g.host.packaging.wheelhouse import build_wheel, wheelhouse

ROOT = Path(__file__).parents[2]
DEB = "/srv/v2g-orchestrator.deb"
UNITS = {
    "test-plant.service": f"""[Service]
Type=notify
User=v2g-guard
Group=v2g
UMask=0027
ExecStart={PREFIX}/bin/python3 -m v2g.simulation.plant --config /srv/site/plant.json
""",
    "test-vehicle.service": f"""[Service]
Type=notify
Environment=OPENSSL_CONF={PREFIX}/lib/python3.11/site-packages/pyiso15118/security/openssl.conf
ExecStart={PREFIX}/bin/python3 -m v2g.simulation.vehicle --config /srv/site/vehicles/SIMEV0000001.config.json
""",
}
_OF_OTHERS = (
    *("/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow"),
    *("/etc/subuid", "/etc/subgid", "/etc/.pwd.lock", "/etc/ld.so"),
    *("/var/lib/dpkg/", "/var/log/dpkg.log", "/var/log/journal", "/var/log/wtmp", "/var/log/lastlog"),
    *("/var/lib/systemd/", "/var/cache/", "/srv/", "/var/tmp/", "/tmp/", "/work", "/root"),
    "/etc/systemd/system/test-",
)
"""Paths that the host's own tools write, or the test."""
_LOOKED_AT = (
    "/etc",
    "/opt",
    "/usr/bin",
    "/usr/sbin",
    "/usr/lib/systemd",
    "/usr/local",
    "/usr/share",
    "/var",
    "/run/v2g",
)
_PRUNED = ("-xdev", "-name", "__pycache__", "-prune", "-o", "-print")


def build(folder: Path) -> Path:
    """For this machine's architecture, with what every controller needs and nothing optional."""
    own = build_wheel(ROOT, folder)
    return deb(wheelhouse(own, platform.machine(), folder / "wheelhouse", extras=()), folder)


def tree_with(package: Path, tree: Path, scratch: Path) -> None:
    (tree / "srv").mkdir(parents=True)
    shutil.copy(package, tree / DEB.lstrip("/"))
    waiting = scratch / "waiting"
    waiting.mkdir()
    (scratch / "site").mkdir()
    site_files(waiting, scratch / "site")
    shutil.copytree(waiting / "srv/site", tree / "srv/site")
    shutil.copytree(waiting / "etc", tree / "srv/waiting")
    units = tree / "etc/systemd/system"
    units.mkdir(parents=True)
    for name, text in UNITS.items():
        (units / name).write_text(text)


def make_ours(booted: Booted) -> None:
    """What an engineer does after the installation: configuration and certificates of the site."""
    booted.run("cp", "-r", "/srv/waiting/v2g/.", "/etc/v2g/")
    booted.write("/etc/v2g/conf.d/50-cpu.yaml", "realtime: {tick_cpus: [0]}\n")
    booted.run("cp", "-r", "/srv/waiting/ssl/v2g/.", "/etc/ssl/v2g/")
    booted.run("chown", "-R", "v2g:v2g", "/etc/ssl/v2g")
    booted.run("ip", "link", "set", "lo", "up")
    booted.run("ip", "link", "add", EVSE_INTERFACE, "type", "veth", "peer", "name", MODEM_INTERFACE)
    for name in (EVSE_INTERFACE, MODEM_INTERFACE):
        booted.run("sysctl", "-qw", f"net.ipv6.conf.{name}.accept_dad=0")
        booted.run("ip", "link", "set", name, "up")


def paths(booted: Booted) -> set[str]:
    """All of the system but what is others'."""
    lines = booted.run("find", *_LOOKED_AT, *_PRUNED, check=False).stdout.splitlines()
    return {line for line in lines if not line.startswith(_OF_OTHERS)}


def people(booted: Booted) -> list[str]:
    names = [booted.run("getent", kind).stdout.splitlines() for kind in ("passwd", "group")]
    return [line for lines in names for line in lines if line.startswith("v2g")]
