"""The host as such: kernel, real time, capabilities, clock, LEDs. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from v2g.host.preflight.model import PreflightLine, failed, passed, warned

OLDEST_KERNEL = (5, 10)
CAP_NET_ADMIN, CAP_NET_RAW, CAP_IPC_LOCK, CAP_SYS_NICE = 12, 13, 14, 23
_RELEASE = re.compile(r"(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class KernelFacts:
    """``release`` and ``version`` as uname(2) says; ``realtime``: /sys/kernel/realtime, None where there is none."""

    release: str
    version: str
    realtime: bool | None = None


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """A running daemon as /proc shows it. ``capabilities``: effective, a bit each; None: not told."""

    pid: int
    uid: int
    capabilities: int | None = None


@dataclass(frozen=True, slots=True)
class UnitRights:
    """What a unit file gives its process."""

    file: str
    rtprio: int = 0
    memlock: str = ""
    ambient: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RealtimeFacts:
    """``granted``: by the guard's own word; None: it does not speak."""

    granted: bool | None
    unit: UnitRights | None = None


@dataclass(frozen=True, slots=True)
class LedFacts:
    name: str
    present: bool
    writable: bool


def judge_kernel(facts: KernelFacts) -> Iterator[PreflightLine]:
    name, shown = "kernel", f"Linux {facts.release}"
    found = _RELEASE.match(facts.release)
    if found is None:
        yield warned(name, f"the kernel's release {facts.release!r} cannot be read", "look at uname -r: 5.10 is needed")
        return
    if (int(found[1]), int(found[2])) < OLDEST_KERNEL:
        yield failed(name, f"{shown} is older than 5.10", "install a kernel of 5.10 or later, best with PREEMPT_RT")
        return
    if facts.realtime or "PREEMPT_RT" in facts.version or "PREEMPT RT" in facts.version:
        yield passed(name, f"{shown}, PREEMPT_RT")
        return
    yield warned(
        name,
        f"{shown} without PREEMPT_RT: the guard may tick late, and then opens the breaker",
        "install the real-time kernel (Debian: apt install linux-image-rt-amd64 or -rt-arm64) and boot it",
    )


def judge_realtime(facts: RealtimeFacts, priority: int) -> Iterator[PreflightLine]:
    """``priority``: what the guard asks for."""
    name, unit = "realtime", facts.unit
    if facts.granted:
        yield passed(name, "v2g-guard tick has SCHED_FIFO and locked memory")
    elif facts.granted is not None:
        yield warned(
            name,
            "v2g-guard tick runs without SCHED_FIFO or without locked memory",
            f"give its unit LimitRTPRIO={priority} and LimitMEMLOCK=infinity; in a container also CAP_SYS_NICE and "
            "CAP_IPC_LOCK; journalctl -u v2g-guard-tick says which was refused",
        )
    elif unit is None:
        yield warned(
            name, "cannot be told: v2g-guard tick neither runs nor is its unit installed", "v2g-tool install, start it"
        )
    else:
        scheduled = unit.rtprio >= priority or "CAP_SYS_NICE" in unit.ambient
        locked = unit.memlock == "infinity" or "CAP_IPC_LOCK" in unit.ambient
        lacking = [words for words, there in (("SCHED_FIFO", scheduled), ("locked memory", locked)) if not there]
        if lacking:
            yield warned(
                name,
                f"{unit.file} does not allow {' and '.join(lacking)}",
                f"LimitRTPRIO={priority} and LimitMEMLOCK=infinity in it",
            )
        else:
            yield passed(name, f"{unit.file} allows SCHED_FIFO {priority} and locked memory")


def judge_capabilities(
    driver: ProcessFacts | None,
    driver_unit: UnitRights | None,
    orchestrator: ProcessFacts | None,
    plc_evses: Sequence[str],
) -> Iterator[PreflightLine]:
    """``plc_evses``: those with a powerline link, whose vehicles are matched by ``driver``."""
    name, before = "capabilities", 0
    if plc_evses:
        for line in _driver(name, driver, driver_unit, plc_evses):
            before += 1
            yield line
    if orchestrator is not None and orchestrator.capabilities:
        before += 1
        who = "as root" if orchestrator.uid == 0 else f"with capabilities {orchestrator.capabilities:#x}"
        yield warned(
            name,
            f"v2g-orchestrator[{orchestrator.pid}] runs {who} and needs none",
            "start it by its unit: systemctl start v2g-orchestrator",
        )
    if not before:
        yield passed(name, "no powerline links; nobody needs a capability for the network")


def _driver(
    name: str, driver: ProcessFacts | None, unit: UnitRights | None, evses: Sequence[str]
) -> Iterator[PreflightLine]:
    remedy = "AmbientCapabilities=CAP_NET_RAW CAP_NET_ADMIN in kplc-driver.service, as it is shipped; v2g-tool install"
    if driver is not None and driver.capabilities is not None:
        if driver.capabilities & 1 << CAP_NET_RAW:
            yield passed(name, f"kplc-driver[{driver.pid}] may send raw Ethernet (CAP_NET_RAW)")
        else:
            yield failed(name, f"kplc-driver[{driver.pid}] has no CAP_NET_RAW: nobody is matched", remedy, evses)
    elif unit is not None:
        if "CAP_NET_RAW" in unit.ambient:
            yield passed(name, f"{unit.file} gives kplc-driver CAP_NET_RAW")
        else:
            yield failed(name, f"{unit.file} gives kplc-driver no CAP_NET_RAW: nobody is matched", remedy, evses)
    else:
        yield warned(name, "cannot be told: kplc-driver neither runs nor is its unit installed", "v2g-tool install")


def judge_clock(synchronised: bool | None, unix_s: float, released_unix_s: float) -> Iterator[PreflightLine]:
    """``synchronised`` None: nobody can tell. ``released_unix_s``: a time that has surely passed."""
    name = "clock"
    remedy = "install and start chrony or systemd-timesyncd, with a time server it can reach; chronyc tracking shows it"
    if unix_s < released_unix_s:
        yield failed(name, "the clock is before the release of this software: it is wrong", remedy)
    elif synchronised is None:
        yield warned(name, "whether the clock is synchronised cannot be told", remedy)
    elif not synchronised:
        yield warned(name, "the clock is not synchronised: orders by time and certificates are judged wrongly", remedy)
    else:
        yield passed(name, "synchronised")


def judge_leds(leds: Sequence[LedFacts]) -> Iterator[PreflightLine]:
    name = "led"
    if not leds:
        yield passed(name, "none is configured")
        return
    good = [led.name for led in leds if led.present and led.writable]
    for led in leds:
        if not led.present:
            yield warned(name, f"there is no LED {led.name}", "ls /sys/class/leds; correct heartbeat in v2g.yaml")
        elif not led.writable:
            yield warned(
                name,
                f"LED {led.name} cannot be written",
                "a udev rule (systemd/udev/70-v2g-led.rules), and ReadWritePaths= in a drop-in of the unit",
            )
    if good:
        yield passed(name, ", ".join(good))
