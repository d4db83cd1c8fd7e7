"""The host's own tools, run one at a time: their answer, or an InstallError with what they said."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from v2g.host.install.errors import InstallError, from_os

ENABLED = ("v2g-orchestrator.service", "v2g-cert-renew.timer", "v2g-audit-verify.timer")
"""The first brings the guard and kplc-driver with it."""
AT_BOOT = ("v2g-firmware-boot.service",)
"""Enabled, not started: there is nothing to do before a boot."""
UNITS = (
    "v2g-audit-verify.timer",
    "v2g-audit-verify.service",
    "v2g-cert-renew.timer",
    "v2g-cert-renew.service",
    "v2g-orchestrator.service",
    "kplc-driver.service",
    "v2g-guard-quality.service",
    "v2g-guard-wires.service",
    "v2g-guard-tick.service",
    "v2g-firmware-boot.service",
    "v2g-firewall.service",
)
"""In the order in which they are stopped."""
_BOOTED = Path("/run/systemd/system")
_TIMEOUT_S = 120.0
_ADMIN_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Done:
    code: int
    out: str
    err: str


Run = Callable[[Sequence[str]], Done]


def run(words: Sequence[str]) -> Done:
    """A tool of the host, found where administrators' tools are. Raises :class:`InstallError` when it hangs."""
    program = shutil.which(words[0], path=_ADMIN_PATH)
    if program is None:
        raise InstallError(f"{words[0]} is not installed; {_remedy(words[0])}")
    try:
        done = subprocess.run(  # noqa: S603 - words are ours
            [program, *words[1:]],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
            env={"PATH": _ADMIN_PATH, "LC_ALL": "C.UTF-8", "SYSTEMD_PAGER": "", "SYSTEMD_COLORS": "0"},
        )
    except subprocess.TimeoutExpired:
        raise InstallError(f"{' '.join(words)} did not end within {_TIMEOUT_S:g} s: run it by itself") from None
    except OSError as error:
        raise from_os(error, program, "run") from None
    return Done(done.returncode, done.stdout.strip(), done.stderr.strip())


def has(tool: str) -> bool:
    return shutil.which(tool, path=_ADMIN_PATH) is not None


def systemd_runs() -> bool:
    return _BOOTED.is_dir()


def must(run_: Run, words: Sequence[str]) -> str:
    """Its output; :class:`InstallError` with what it said when it failed."""
    done = run_(words)
    if done.code != 0:
        said = done.err or done.out or "it said nothing"
        raise InstallError(f"{' '.join(words)} failed ({done.code}): {said}")
    return done.out


def _remedy(tool: str) -> str:
    if tool in ("useradd", "groupadd", "userdel", "groupdel"):
        return "apt install passwd"
    return "apt install systemd; or lay out files only, for an image, with --root"
