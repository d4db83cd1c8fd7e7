"""tests/bench/report_units.md: how exposed each unit is, what its sandbox answered, and how it behaved when booted."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from support.booted import Booted

ROOT = Path(__file__).parents[2]
REPORT = ROOT / "tests/bench/report_units.md"
BEFORE = {
    "v2g-guard-quality": 1.2,
    "v2g-guard-tick": 1.6,
    "v2g-guard-wires": 1.4,
    "v2g-orchestrator": 1.6,
}
"""Of version 0.1.0's units, by systemd 252: one user, no private network, memory open to core dumps."""
REASONS = (
    (
        "PrivateUsers of tick, wires, orchestrator, cert-renew, kplc-driver, firmware-boot",
        "who is at a socket is told by the user, and behind a user "
        "namespace everybody else is nobody; capabilities of tick and kplc-driver would not count there either",
    ),
    (
        "PrivateNetwork, IPAddressDeny of wires, orchestrator, cert-renew",
        "devices, vehicles and the utility's servers are "
        "on the network; a site may name its devices in a drop-in (IPAddressDeny=any, IPAddressAllow=...)",
    ),
    ("MemoryDenyWriteExecute of orchestrator", "pyOpenSSL's callbacks (cffi) are made in writable, executable memory"),
    ("AF_NETLINK of orchestrator", "the neighbour table names the MAC address of a vehicle's modem"),
    (
        "CAP_NET_RAW, CAP_NET_ADMIN, AmbientCapabilities, AF_PACKET, AF_NETLINK, PrivateNetwork of kplc-driver",
        "raw Ethernet to the modems at the host's interfaces; matched vehicles in the firewall's sets, by nft, a child",
    ),
    (
        "@resources of tick and orchestrator",
        "single calls: sched_setscheduler and sched_setaffinity for real time, setpriority for the planning process",
    ),
    (
        "User=root, CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER of firmware-boot",
        "it puts root's links and other users' databases back",
    ),
    ("CAP_SYS_NICE, CAP_IPC_LOCK, RestrictRealtime of tick", "10 ms under load need SCHED_FIFO and locked memory"),
    ("DeviceAllow of all", "ProtectClock= itself adds char-rtc:r"),
    ("UMask of all", "two users of one group write the same logs; what is secret is made with a mode of its own"),
    ("RootDirectory of all", "systemd's weights want an image; the file system is read-only but for what is listed"),
    (
        "ExecPaths of all",
        "not counted: with it systemd 252 mounts what it names writable, whatever ProtectSystem= says; "
        "NoExecPaths= of what can be written is set instead",
    ),
)
_OVERALL = re.compile(r"Overall exposure level for \S+: ([\d.]+)")
_ROW = re.compile(r"^✗ (\S+)\s{2,}(.+?)\s{2,}([\d.]+)\s*$")


def exposure(unit: Path) -> tuple[float, list[tuple[str, str, float]]]:
    """``systemd-analyze security``: the whole, and what is left open with its share."""
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, "SYSTEMD_COLORS": "0", "COLUMNS": "200", "LC_ALL": "C.UTF-8"},
    )
    found = _OVERALL.search(done.stdout)
    assert found is not None, done.stdout
    rows = [match.groups() for line in done.stdout.splitlines() if (match := _ROW.match(line))]
    return float(found[1]), [(name, text, float(share)) for name, text, share in rows]


def missing_figures(figures: Mapping[str, Any], units: Sequence[str]) -> str | None:
    """The first figure that the report wants and that was not measured; None: they are all there."""
    for name in ("start_s", "power_s", "back_s", "hang_s", "stop_s", "modem_s", "tick", "probes"):
        if name not in figures:
            return name
    unprobed = [unit for unit in units if unit not in figures["probes"] or unit not in figures["back_s"]]
    return f"that of {unprobed[0]}" if unprobed else None


def write_report(figures: Mapping[str, Any], booted: Booted) -> None:
    """``figures``: of tests/systemd/test_boot.py."""
    version = booted.run("systemctl", "--version").stdout.splitlines()[0]
    kernel = platform.release().split("-")[0]
    lines = [
        "# The units: exposure, sandbox, behaviour under a real systemd",
        "",
        f"By `pytest -n 0 -m systemd tests/systemd/test_boot.py` as root; {version}, Linux {kernel}, "
        f"{os.cpu_count()} cores. systemd is PID 1 in namespaces of its own on an overlay of the root file system.",
        "",
        "| unit | exposure before | exposure now | left open, by systemd's weights |",
        "|---|---|---|---|",
    ]
    for path in sorted((ROOT / "systemd").glob("*.service")):
        whole, rows = exposure(path)
        before = BEFORE.get(path.stem)
        open_ = ", ".join(f"{name.rstrip('=').replace('|', '/')} {share:g}" for name, _, share in rows)
        lines.append(f"| {path.stem} | {'-' if before is None else f'{before:g}'} | {whole:g} | {open_} |")
    lines += ["", "| figure | value |", "|---|---|"]
    lines.append(f"| systemd up, s | {booted.boot_s:.2f} |")
    lines.append(f"| `systemctl start v2g-orchestrator`: all five ready, s | {figures['start_s']:.2f} |")
    lines.append(f"| order of 5 kW to power at the vehicle, s | {figures['power_s']:.2f} |")
    lines += [f"| {unit}: SIGKILL to ready again, s | {took:.2f} |" for unit, took in figures["back_s"].items()]
    lines += [f"| {unit}: SIGSTOP to ready again, s | {took:.2f} |" for unit, took in figures["hang_s"].items()]
    lines.append(f"| stop of all five, s | {figures['stop_s']:.2f} |")
    lines.append(f"| restart of kplc-driver to a modem with a new key, s | {figures['modem_s']:.2f} |")
    lines.append(f"| tick after some seconds | {figures['tick']} |")
    probes: Mapping[str, Mapping[str, Any]] = figures["probes"]
    units = list(probes)
    lines += [
        "",
        "What a process in each sandbox finds, under the unit's user (`ok`: it can; else the kernel's error):",
        "",
        f"| attempt | {' | '.join(units)} |",
        "|---|" + "---|" * len(units),
    ]
    lines += [f"| {name} | {' | '.join(_cell(probes[u][name]) for u in units)} |" for name in probes[units[0]]]
    lines += ["", "Left open, with the reason:", "", *(f"- {what}: {why}" for what, why in REASONS), ""]
    lines += [*_remarks(booted, probes), ""]
    REPORT.write_text("\n".join(lines), encoding="utf-8")


def _cell(value: Any) -> str:
    return (", ".join(map(str, value)) or "none") if isinstance(value, list) else str(value)


def _remarks(booted: Booted, probes: Mapping[str, Mapping[str, Any]]) -> list[str]:
    remarks = []
    if not {"memory", "pids"} <= set(booted.controllers):
        given = ", ".join(booted.controllers) or "none"
        remarks.append(
            f"Controllers of the unified hierarchy on this host: {given}. MemoryMax= and TasksMax= were accepted and "
            "not enforced."
        )
    if probes["v2g-guard-wires"]["listen"] == "ok":
        remarks.append(
            "SocketBindDeny= of wires was accepted and not enforced: this kernel has no BPF for control groups. The "
            "rules of `v2g-tool firewall` close its ports all the same."
        )
    return remarks
