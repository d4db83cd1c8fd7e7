"""The project as installed on a controller, for :class:`support.booted.Booted`: commands, units, a simulated site.

The plant stands for the drivers of the acquisition hardware and the breaker, and runs as they do: as v2g-guard. One
vehicle plugs in.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from support.booted import Booted
from v2g.clock import SystemClock
from v2g.pki import store
from v2g.simulation import layout as layouts

ROOT = Path(__file__).parents[2]
COMMANDS = {
    "kplc-driver": "kplc_driver",
    "v2g-cert-manager": "cert_manager",
    "v2g-control": "control",
    "v2g-guard": "guard",
    "v2g-orchestrator": "orchestrator",
    "v2g-tool": "tool",
}
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
KEY_PASSWORD = "a-password-that-must-stay-secret"
TOKEN_PIN = "907341865520"
SITE = "/srv/site"
EVSE_INTERFACE = "evse0"
"""Of a second EVSE with a powerline modem, to which nobody plugs in; whoever boots the site makes it."""
MODEM_INTERFACE = "car0"
"""The other end of it, where the modem is."""
MODEM_MAC = "02:00:00:51:00:01"
NOT_OF_A_PROBE = {
    "Type",
    "NotifyAccess",
    "ExecStart",
    "ExecReload",
    "WatchdogSec",
    "WatchdogSignal",
    "Restart",
    "RestartSec",
    "RestartPreventExitStatus",
    "Wants",
    "After",
    "Before",
    "WantedBy",
}
HARNESS_UNITS = {
    "test-plant.service": """[Service]
Type=notify
User=v2g-guard
Group=v2g
UMask=0027
ExecStart=/opt/v2g/bin/python -m v2g.simulation.plant --config /srv/site/plant.json
""",
    "test-powerline.service": """[Service]
Type=notify
ExecStart=/opt/v2g/bin/python -m v2g.simulation.powerline --config /srv/site/powerline.json
""",
    "test-vehicle.service": """[Service]
Type=notify
Environment=OPENSSL_CONF=/opt/v2g/src/pyiso15118/security/openssl.conf
ExecStart=/opt/v2g/bin/python -m v2g.simulation.vehicle --config /srv/site/vehicles/SIMEV0000001.config.json
""",
}


def install(booted: Booted) -> None:
    """The README's steps: users, groups, directories; certificates in place, owned by the daemon."""
    booted.run("ldconfig")
    booted.run("systemd-sysusers")
    booted.run("systemd-tmpfiles", "--create")
    booted.run("chown", "-R", "v2g:v2g", "/etc/ssl/v2g")
    booted.run("ip", "link", "add", EVSE_INTERFACE, "type", "veth", "peer", "name", MODEM_INTERFACE)
    for name in (EVSE_INTERFACE, MODEM_INTERFACE):
        booted.run("sysctl", "-qw", f"net.ipv6.conf.{name}.accept_dad=0")
        booted.run("ip", "link", "set", name, "up")


def binds() -> dict[str, str]:
    """Interpreter, libraries and sources under /opt: sandboxes hide the homes where they may be."""
    return {
        sys.base_prefix: "/opt/python",
        sysconfig.get_path("purelib"): "/opt/v2g/packages",
        str(ROOT / "src"): "/opt/v2g/src",
    }


def build_tree(tree: Path, scratch: Path) -> None:
    """What is copied over the root: as the README installs it, and the site's configuration."""
    _environment(tree)
    units = tree / "etc/systemd/system"
    units.mkdir(parents=True)
    for unit in (ROOT / "systemd").glob("*.service"):
        shutil.copy(unit, units)
    for unit in (ROOT / "systemd").glob("*.timer"):
        shutil.copy(unit, units)
    for name, text in HARNESS_UNITS.items():
        (units / name).write_text(text)
    drop_in = units / "v2g-orchestrator.service.d/token.conf"
    drop_in.parent.mkdir()
    (line,) = re.findall(r"^#(LoadCredential=.*)$", (units / "v2g-orchestrator.service").read_text(), re.MULTILINE)
    drop_in.write_text(f"[Service]\n{line}\n")
    for kind in ("sysusers.d", "tmpfiles.d"):
        (tree / "etc" / kind).mkdir(parents=True)
        shutil.copy(ROOT / "systemd" / kind / "v2g.conf", tree / "etc" / kind)
    site_files(tree, scratch)


def _environment(tree: Path) -> None:
    place = tree / "opt/v2g"
    (place / "bin").mkdir(parents=True)
    (place / "pyvenv.cfg").write_text("home = /opt/python/bin\ninclude-system-site-packages = false\n")
    (place / "bin/python").symlink_to(f"/opt/python/bin/{PYTHON}")
    packages = place / "lib" / PYTHON / "site-packages"
    packages.mkdir(parents=True)
    (packages / "v2g.pth").write_text("/opt/v2g/src\n/opt/v2g/packages\n")
    # An interpreter with its library beside it looks for it where it was built, which a sandbox hides.
    (tree / "etc/ld.so.conf.d").mkdir(parents=True)
    (tree / "etc/ld.so.conf.d/00-python.conf").write_text("/opt/python/lib\n")
    shutil.copy(Path(__file__).with_name("booted_probe.py"), place / "probe.py")
    commands = tree / "usr/bin"
    commands.mkdir(parents=True)
    for name, module in COMMANDS.items():
        (commands / name).write_text(f"#!/opt/v2g/bin/python\nfrom v2g.cli.{module} import main\n\nmain()\n")
        (commands / name).chmod(0o755)


def site_files(tree: Path, scratch: Path) -> None:
    """The simulated site alone: configuration, credentials, what the plant and the vehicle are told."""
    foreign = layouts.ForeignEvse(interface=EVSE_INTERFACE, tls="strict")
    layout = layouts.build(scratch, 1, None, SystemClock(), foreign=[foreign])
    layout.port_reservation.close()

    def moved(path: Path) -> str:
        """Its text with the places of a booted controller: what devices share is in the run directory."""
        text = path.read_text()
        for shared in ("relay", "mains", "estop", "door", "plant.sock"):
            text = text.replace(f"{scratch}/{shared}", f"/run/v2g/{shared}")
        return text.replace(str(scratch), SITE)

    config = yaml.safe_load((layout.config_dir / "v2g.yaml").read_text())
    del config["paths"]
    del config["pki"]["dir"]
    config["pki"]["key_password_file"] = "/etc/ssl/v2g/key.password"
    for evse in config["evses"]:
        if evse["interface"] == EVSE_INTERFACE:
            evse["plc"] = {}
    config["relay"]["feedback_path"] = "/run/v2g/relay"
    config["protection"]["mains_input_path"] = "/run/v2g/mains"
    etc = tree / "etc/v2g"
    etc.mkdir(parents=True)
    (etc / "v2g.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    (etc / "sensor_map.conf").write_text(moved(layout.config_dir / "sensor_map.conf"))

    credentials = tree / "etc/ssl/v2g"
    credentials.mkdir(parents=True)
    for name in (store.CHAIN, store.TRUST, store.ROOTS):
        shutil.copy(scratch / "pki" / name, credentials / name)
    key = load_pem_private_key((scratch / "pki" / store.KEY).read_bytes(), None)
    locked = BestAvailableEncryption(KEY_PASSWORD.encode())
    (credentials / store.KEY).write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked))
    (credentials / "key.password").write_text(KEY_PASSWORD + "\n")
    (tree / "etc/credstore").mkdir(mode=0o700)
    (tree / "etc/credstore/v2g-token-pin").write_text(TOKEN_PIN)
    for secret in (credentials / store.KEY, credentials / "key.password", tree / "etc/credstore/v2g-token-pin"):
        secret.chmod(0o600)

    site = tree / SITE.lstrip("/")
    shutil.copytree(scratch / "pki", site / "pki")
    (site / "vehicles").mkdir()
    for file in layout.config_dir.parent.glob("vehicles/*.config.json"):
        (site / "vehicles" / file.name).write_text(moved(file))
    modem = {"name": "EVSE", "kind": "veth", "address": MODEM_INTERFACE, "modem_mac": MODEM_MAC}
    (site / "powerline.json").write_text(json.dumps({"control_socket": "/run/powerline.sock", "stations": [modem]}))
    plant = moved(layout.plant_config).replace(f'"{SITE}"', '"/run/v2g"')
    (site / "plant.json").write_text(plant)
    (site / "plant.json").chmod(0o644)


def probe(booted: Booted, unit: str, guard_pid: str) -> dict[str, Any]:
    """What :mod:`support.booted_probe` finds inside the sandbox of ``unit``, under its user."""
    journal = run_sandboxed(booted, unit, "/opt/v2g/probe.py", f"PROBE_GUARD_PID={guard_pid}")
    (line,) = [line for line in journal.splitlines() if line.startswith("PROBE ")]
    found: dict[str, Any] = json.loads(line.removeprefix("PROBE "))
    return found


def run_sandboxed(booted: Booted, unit: str, script: str, environment: str = "") -> str:
    """The journal of a Python script, inside, that ran in the sandbox of ``unit`` under its user."""
    lines = [
        line
        for line in (ROOT / "systemd" / f"{unit}.service").read_text().splitlines()
        if line.partition("=")[0] not in NOT_OF_A_PROBE
    ]
    lines = [line.removeprefix("#") if line.startswith("#LoadCredential=") else line for line in lines]
    at = lines.index("[Service]") + 1
    lines[at:at] = ["Type=oneshot", f"ExecStart=/opt/v2g/bin/python {script}", f"Environment={environment}"]
    name = f"{Path(script).stem}-{unit}.service"
    booted.write(f"/etc/systemd/system/{name}", "\n".join(lines) + "\n")
    booted.run("systemctl", "daemon-reload")
    booted.start(name)
    return booted.journal(name)
