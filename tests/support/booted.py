"""A real systemd as PID 1, in namespaces on an overlay of this host's root, for units to be tried under.

Needs root, systemd, dbus, util-linux and a cgroup2 mount that can be written. Resource controllers (memory, pids) may
be absent: ``controllers`` says which there are.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

INIT = Path(__file__).with_name("booted_init.py")
TOOLS = ("systemctl", "systemd-sysusers", "systemd-tmpfiles", "unshare", "nsenter", "mount", "dbus-daemon")
BOOT_S = 30.0
POLL_S = 0.1


class NotBooted(Exception):
    """It did not come up; the text has what PID 1 said."""


def obstacle() -> str | None:
    """Why no systemd can be booted here, for a skip; None: it can."""
    if os.getuid() != 0:
        return "needs root: namespaces, an overlay and a control group"
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    if not Path("/lib/systemd/systemd").exists():
        return "systemd is not installed"
    if cgroup2() is None:
        return "no cgroup2 mount that can be written"
    return None


def cgroup2() -> Path | None:
    """Where the unified hierarchy is mounted and takes new groups."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        place = Path(fields.split()[4])
        if rest.split()[0] == "cgroup2" and "rw" in fields.split()[5].split(",") and os.access(place, os.W_OK):
            return place
    return None


class Booted:
    """``tree`` is copied over the root, ``binds`` (source -> place) are mounted read-only, before systemd starts."""

    def __init__(self, tree: Path, binds: Mapping[str, str] | None = None) -> None:
        self._tree, self._binds = tree, dict(binds or {})
        self.pid = 0
        self.log = ""
        self.boot_s = 0.0
        self.controllers: tuple[str, ...] = ()

    def __enter__(self) -> Booted:
        base = cgroup2()
        assert base is not None
        self._work = Path(tempfile.mkdtemp(prefix="booted-", dir="/var/tmp"))
        self._cgroup = base / self._work.name
        self._cgroup.mkdir()
        self.controllers = tuple((self._cgroup / "cgroup.controllers").read_text().split())
        spec = self._work.with_suffix(".json")
        spec.write_text(
            json.dumps(
                {
                    "work": str(self._work),
                    "cgroup": str(self._cgroup),
                    "tree": str(self._tree),
                    "binds": self._binds,
                }
            )
        )
        self._output = self._work.with_suffix(".log")
        began_s = time.monotonic()
        with self._output.open("wb") as output:
            self._outer = subprocess.Popen(
                [sys.executable, str(INIT), "outer", str(spec)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        self.boot_s = time.monotonic() - began_s
        return self

    def _wait(self) -> None:
        end_s = time.monotonic() + BOOT_S
        while time.monotonic() < end_s and self._outer.poll() is None:
            self.pid = self.pid or self._first_child()
            if self.pid and Path(f"/proc/{self.pid}/comm").read_text().strip() == "systemd":
                done = self.run("systemctl", "is-system-running", check=False)
                if done.stdout.strip() in ("running", "degraded"):
                    return
            time.sleep(POLL_S)
        raise NotBooted(f"systemd did not come up within {BOOT_S:g} s:\n{self._output.read_text()[-4000:]}")

    def _first_child(self) -> int:
        with contextlib.suppress(OSError):
            children = Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children").read_text().split()
            return int(children[0]) if children else 0
        return 0

    def __exit__(self, *_: object) -> None:
        if self._outer.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                # SIGKILL to PID 1 of a namespace ends everything in it.
                os.kill(self.pid or self._outer.pid, signal.SIGKILL)
            self._outer.kill()
        self._outer.wait()
        self.log = self._output.read_text(errors="replace")
        end_s = time.monotonic() + 5.0
        while time.monotonic() < end_s:
            for folder in sorted(self._cgroup.rglob("*/"), key=lambda path: -len(path.parts)):
                with contextlib.suppress(OSError):
                    folder.rmdir()
            with contextlib.suppress(OSError):
                self._cgroup.rmdir()
            if not self._cgroup.exists():
                break
            time.sleep(POLL_S)
        self._output.unlink()
        self._work.with_suffix(".json").unlink()
        self._work.rmdir()

    def run(
        self, *words: str, check: bool = True, timeout_s: float = 60.0, text: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """A command inside, as root outside of every sandbox. Raises AssertionError with its output."""
        enter = ["nsenter", "-t", str(self.pid), "-m", "-u", "-i", "-C", "-n", "-p", "-r", "--wd"]
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "SYSTEMD_PAGER": "", "SYSTEMD_COLORS": "0"}
        done = subprocess.run(
            [*enter, *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
            env=environment,
            input=text or "",
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(words)}: {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
        return done

    def start(self, unit: str) -> float:
        """Seconds until it is started. Raises AssertionError with the end of its journal."""
        began_s = time.monotonic()
        if self.run("systemctl", "start", unit, check=False).returncode != 0:
            raise AssertionError(f"{unit} does not start:\n{self.journal(unit)[-4000:]}")
        return time.monotonic() - began_s

    def write(self, path: str, text: str) -> None:
        """A file inside, as root."""
        self.run("tee", path, text=text)

    def show(self, unit: str, *properties: str) -> dict[str, str]:
        """``systemctl show``."""
        lines = self.run("systemctl", "show", unit, "-p", ",".join(properties)).stdout.splitlines()
        return dict(line.split("=", 1) for line in lines)

    def journal(self, unit: str) -> str:
        return self.run("journalctl", "--no-pager", "-o", "cat", "-u", unit, check=False).stdout

    def process_status(self, pid: int | str) -> dict[str, str]:
        """Fields of ``/proc/PID/status`` of a process inside, by its number there."""
        lines = self.run("cat", f"/proc/{pid}/status").stdout.splitlines()
        return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}
