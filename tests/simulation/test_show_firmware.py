"""Updates of a real daemon in real slots: refused with a session, drained and applied, a broken one taken back."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from support.firmware import trust
from support.own_wheel import make_borrowing_wheel, make_wheel, never_comes_up
from v2g.host.firmware.environment import Environment
from v2g.host.firmware.slots import Slots

pytestmark = pytest.mark.soak

# What an init system is to a host: it starts what the link leads to, waits until that is ready or has ended, and stops
# it by SIGTERM.
START = """\
#!/bin/sh
cd {folder}
touch output
before=$(($(wc -c < output) + 1))
setsid {slots}/current/bin/v2g-orchestrator --simulate --vehicles 1 --no-plc --run-dir {run} --overlay {overlay} \\
    >> {folder}/output 2>&1 < /dev/null &
echo $! > {folder}/pid
for _ in $(seq 1200); do
    tail -c +$before {folder}/output | grep -q "orchestrator: ready" && exit 0
    tail -c +$before {folder}/output | grep -q "orchestrator: ended with" && {{ echo "the daemon ended" >&2; exit 1; }}
    sleep 0.1
done
echo "the daemon did not get ready" >&2
exit 1
"""
STOP = """\
#!/bin/sh
pid=$(cat {folder}/pid 2>/dev/null) || exit 0
kill -TERM "$pid" 2>/dev/null || exit 0
for _ in $(seq 600); do kill -0 "$pid" 2>/dev/null || exit 0; sleep 0.1; done
kill -KILL "-$pid"
"""


class Site:
    """Slots, a maker, and a simulated site whose daemon runs from the slots."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="v2g-fw-"))
        self.slots = Slots(self.folder / "v2g")
        self.run = self.folder / "run"
        self.keys = self.folder / "keys"
        self.maker = self._maker("maker", trusted=True)
        self.stranger = self._maker("stranger", trusted=False)
        for name, text in (("start", START), ("stop", STOP)):
            script = self.folder / name
            script.write_text(
                text.format(
                    folder=self.folder, slots=self.slots.root, run=self.run, overlay=self.folder / "overlay.yaml"
                )
            )
            script.chmod(0o755)
        settings = {
            "dir": str(self.slots.root),
            "trusted_keys": [str(self.keys / "*.pem")],
            "health_s": 30,
            "steady_s": 2,
            "start": [str(self.folder / "start")],
            "stop": [str(self.folder / "stop")],
        }
        (self.folder / "overlay.yaml").write_text(
            json.dumps({"firmware": settings, "secc": {"charge_loop_timeout_s": 10}})
        )

    def _maker(self, name: str, *, trusted: bool) -> Path:
        key = Ed25519PrivateKey.generate()
        path = self.folder / f"{name}.key"
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        trust(self.keys if trusted else self.folder / "elsewhere", f"{name}.pem", key)
        return path

    def wheels(self, version: str, change: Callable[[str, str], str] = lambda name, text: text) -> Path:
        folder = self.folder / f"wheels-{version}"
        make_wheel(folder, version, change)
        make_borrowing_wheel(folder)
        return folder

    def install_first(self, version: str) -> None:
        """As an installer does."""
        wheels = sorted(self.wheels(version).iterdir())
        self.slots.path("a").parent.mkdir(parents=True)
        Environment(self.folder).install(wheels, self.slots.path("a"))
        self.slots.point_to("a")
        subprocess.run([self.folder / "start"], check=True)

    def pack(self, wheels: Path, key: Path, name: str) -> Path:
        bundle = self.folder / name
        made = self.tool("pack", wheels, "--key", key, "--output", bundle, config=False)
        assert made.returncode == 0, made.stderr
        return bundle

    def tool(
        self, *words: str | Path, config: bool = True, timeout_s: float = 300.0
    ) -> subprocess.CompletedProcess[str]:
        """``v2g-tool firmware`` of the slot that runs."""
        where = ("--config", str(self.run / "etc")) if config else ()
        return subprocess.run(
            [self.slots.current / "bin" / "v2g-tool", "firmware", *words, *where],
            env={**os.environ, "V2G_SOCKET": str(self.run / "control.sock")},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def command(self, name: str, *words: str, slot: str = "") -> subprocess.CompletedProcess[str]:
        folder = self.slots.path(slot) if slot else self.slots.current
        return subprocess.run(
            [folder / "bin" / name, *words],
            env={**os.environ, "V2G_SOCKET": str(self.run / "control.sock")},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def status(self) -> dict[str, Any]:
        answer = self.command("v2g-control", "status", "--json")
        return json.loads(answer.stdout) if answer.returncode == 0 else {}

    def session(self) -> dict[str, Any] | None:
        return next((evse["session"] for evse in self.status().get("evses", ()) if evse["session"]), None)

    def charges(self) -> bool:
        session = self.session()
        return session is not None and session["state"] in ("charging", "discharging")

    def wait_for(self, what: str, condition: Callable[[], Any], timeout_s: float = 90.0) -> Any:
        end_s = time.monotonic() + timeout_s
        while time.monotonic() < end_s:
            if got := condition():
                return got
            time.sleep(0.2)
        pytest.fail(f"not within {timeout_s:g} s: {what}\n{(self.folder / 'output').read_text()[-4000:]}")

    def log(self, name: str) -> str:
        return (self.run / "log" / name).read_text(errors="replace")

    def end(self) -> None:
        subprocess.run([self.folder / "stop"], check=False, timeout=90)
        with contextlib.suppress(OSError, ValueError):
            os.killpg(int((self.folder / "pid").read_text()), signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    made = Site()
    try:
        made.install_first("0.1.0")
        yield made
    finally:
        made.end()


def test_a_bundle_is_refused_drained_applied_and_a_broken_one_is_taken_back(site: Site) -> None:
    good = site.pack(site.wheels("0.2.0"), site.maker, "good.v2gfw")
    foreign = site.pack(site.folder / "wheels-0.2.0", site.stranger, "foreign.v2gfw")
    broken = site.pack(site.wheels("0.3.0", never_comes_up), site.maker, "broken.v2gfw")
    site.wait_for("the vehicle charges", site.charges)
    assert site.status()["version"] == "0.1.0"

    # Somebody else's bundle: refused before a byte of it is used, and nothing is touched.
    refused = site.tool("apply", foreign, "--drain", "--yes")
    assert refused.returncode == 1, refused.stdout + refused.stderr
    assert "the bundle is signed by the key" in refused.stderr
    assert not site.slots.path("b").exists()

    checked = site.tool("check", good)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "every wheel is the one that was signed" in checked.stdout

    # A session is active: refused, by its names.
    refused = site.tool("apply", good, "--yes")
    assert refused.returncode == 1
    assert "sessions are active: US*V2G*E1 / " in refused.stderr
    assert "give --drain" in refused.stderr
    assert not site.slots.path("b").exists()
    assert site.charges(), "the session goes on"

    # Drained and applied.
    applied = site.tool("apply", good, "--drain", "--yes")
    assert applied.returncode == 0, applied.stdout + applied.stderr
    assert "US*V2G*E1 / " in applied.stdout
    assert "paused" in applied.stdout
    assert site.slots.active() == "b"
    status = site.status()
    assert (status["version"], status["guard"]["tick_alive"], status["guard"]["wires_alive"]) == ("0.2.0", True, True)
    versions = json.loads(site.tool("status", "--json").stdout)
    assert versions["slots"] == {"a": "0.1.0", "b": "0.2.0"}
    assert (versions["active"], versions["under_way"]) == ("b", None)
    assert runs_from(site.slots.path("b")), "the daemon's processes are of the new slot"
    assert not runs_from(site.slots.path("a"))
    # The simulation begins its logs anew with each start: what was told before that is gone with them.
    assert "FIRMWARE_APPLIED" in site.log("audit.log")
    site.wait_for("the vehicle charges again", site.charges)

    # A command of the version before says so, and works.
    old = site.command("v2g-control", "status", "--json", slot="a")
    assert old.returncode == 0
    assert "v2g-control 0.1.0 speaks with v2g-orchestrator 0.2.0" in old.stderr
    assert json.loads(old.stdout)["version"] == "0.2.0"
    assert "speaks with" not in site.command("v2g-control", "status").stderr

    # One that does not come up: taken back by itself, and the vehicle charges again.
    failed = site.tool("apply", broken, "--drain", "--yes")
    assert failed.returncode == 1, failed.stdout + failed.stderr
    assert "0.3.0 failed, and 0.2.0 runs again" in failed.stderr
    assert site.slots.active() == "b"
    assert site.status()["version"] == "0.2.0"
    told = site.tool("status")
    assert told.returncode == 0
    assert "0.2.0 -> 0.3.0: rolled back" in told.stdout
    assert "FIRMWARE_ROLLED_BACK" in site.log("audit.log")


def runs_from(slot: Path) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str(slot).encode() in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return [pid for pid in found if pid != os.getpid()]
