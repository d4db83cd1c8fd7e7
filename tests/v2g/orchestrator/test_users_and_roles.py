"""Show 6 with real processes: the daemon as its own user, commands of users in each role's group, the kernel's word for
who they are, and the audit log afterwards. Users and groups exist in a mount namespace only."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from support.config_dir import two_evses, write_config

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes users in a namespace: needs root"),
    pytest.mark.skipif(not (shutil.which("unshare") and shutil.which("setpriv")), reason="needs unshare and setpriv"),
]
DAEMON_UID = 44_000
USERS = {"nora": "", "vera": "v2g-viewer", "uta": "v2g-utility", "olaf": "v2g-operator", "eva": "v2g-engineer"}
ROLES = ["viewer", "utility", "operator", "engineer"]
COMMANDS: list[tuple[str, list[str], str]] = [
    ("control", ["status"], "viewer"),
    ("tool", ["sensors"], "viewer"),
    ("tool", ["meters"], "utility"),
    ("control", ["--dispatch", "--mode=charge", "--power=1kW"], "utility"),
    ("control", ["signal", "list"], "viewer"),
    ("control", ["cancel", "--yes"], "utility"),
    ("control", ["trip", "reset", "--yes"], "operator"),
    ("control", ["permit", "off"], "operator"),
    ("tool", ["lockout", "on"], "operator"),
    ("config", ["--min-soc", "30"], "operator"),
    ("tool", ["sensors", "reload"], "engineer"),
    ("tool", ["thermal", "regime", "normal_cyclic"], "engineer"),
    ("tool", ["--set-harmonic-filter", "--threshold=0.05"], "engineer"),
]


def for_all(python: Path) -> bool:
    """Whether every user may start it."""
    return all(parent.stat().st_mode & 0o001 for parent in python.resolve().parents)


_OWN = Path(sys.executable)
SHARED = _OWN if for_all(_OWN) else Path(f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}")
"""The interpreter that runs the tests, or the system's of the same version."""
PYTHON = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
IN_NAMESPACE = 'mount --bind "$1" /etc/passwd && mount --bind "$2" /etc/group && shift 2 && exec "$@"'


class Host:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.chmod(0o755)
        self.run, self.state, self.log, self.etc = (folder / name for name in ("run", "state", "log", "etc"))
        gids = {name: 44_100 + number for number, name in enumerate(filter(None, USERS.values()))}
        self.ids = {user: (44_001 + number, gids.get(group)) for number, (user, group) in enumerate(USERS.items())}
        passwd = [Path("/etc/passwd").read_text(), f"v2gd:x:{DAEMON_UID}:{DAEMON_UID}::/:/bin/false\n"]
        passwd += [f"{user}:x:{uid}:{uid}::/:/bin/sh\n" for user, (uid, _) in self.ids.items()]
        group = [Path("/etc/group").read_text()]
        group += [
            f"{name}:x:{gid}:{','.join(user for user, of in USERS.items() if of == name)}\n"
            for name, gid in gids.items()
        ]
        (folder / "passwd").write_text("".join(passwd))
        (folder / "group").write_text("".join(group))
        paths = {"run_dir": str(self.run), "state_dir": str(self.state), "log_dir": str(self.log)}
        main = two_evses(paths=paths, pki={"allow_plain": True})
        for number, evse in enumerate(main["evses"]):
            evse |= {"interface": "lo", "tls": "plain", "sdp_port": 45_118 + number, "tcp_port": 45_118 + number}
        write_config(self.etc, main)
        for place, mode in ((self.run, 0o755), (self.state, 0o750), (self.log, 0o750), (self.etc / "conf.d", 0o755)):
            place.mkdir(exist_ok=True)
            place.chmod(mode)
            os.chown(place, DAEMON_UID, DAEMON_UID)
        self.daemon: subprocess.Popen[str] | None = None

    def _as(self, uid: int, gids: list[int], module: str, words: list[str]) -> list[str]:
        groups = [f"--groups={','.join(map(str, gids))}"] if gids else ["--clear-groups"]
        files = [str(self.folder / "passwd"), str(self.folder / "group")]
        return [
            *("unshare", "--mount", "sh", "-c", IN_NAMESPACE, "sh", *files),
            *("setpriv", f"--reuid={uid}", f"--regid={uid}", *groups),
            *(str(SHARED), "-m", f"v2g.cli.{module}", *words),
        ]

    def start(self) -> None:
        command = self._as(DAEMON_UID, [], "orchestrator", ["--config", str(self.etc)])
        ready = self.log_text("daemon.log").count(" READY ")
        self.daemon = subprocess.Popen(
            command, env={**os.environ, **PYTHON}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        end_s = time.monotonic() + 20.0
        while self.log_text("daemon.log").count(" READY ") == ready:
            assert self.daemon.poll() is None, self.daemon.communicate()[0]
            assert time.monotonic() < end_s, self.log_text("daemon.log")
            time.sleep(0.05)

    def stop(self) -> None:
        assert self.daemon is not None
        self.daemon.terminate()
        output, _ = self.daemon.communicate(timeout=30)
        assert self.daemon.returncode == 0, output

    def log_text(self, name: str) -> str:
        path = self.log / name
        return path.read_text() if path.exists() else ""

    def command(self, user: str, module: str, *words: str) -> subprocess.CompletedProcess[str]:
        uid, gid = self.ids[user]
        return subprocess.run(
            self._as(uid, [gid] if gid else [], module, [*words]),
            env={**os.environ, **PYTHON, "V2G_SOCKET": str(self.run / "control.sock")},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def verify(self, user: str) -> subprocess.CompletedProcess[str]:
        """Asks again where the daemon rests from the check before."""
        for _ in range(60):
            done = self.command(user, "tool", "audit", "verify", "--socket", str(self.run / "control.sock"))
            if "ask again in" not in done.stderr:
                break
            time.sleep(0.5)
        return done


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with TemporaryDirectory(prefix="v2g") as name:
        host = Host(Path(name))
        if not SHARED.exists():
            pytest.skip(f"{_OWN} is not for all users, and there is no {SHARED}")
        command = host._as(44_001, [], "control", ["--version"])
        probe = subprocess.run(command, env={**os.environ, **PYTHON}, capture_output=True, text=True, check=False)
        if probe.returncode != 0:
            pytest.skip(f"no other user can run {SHARED} here: {probe.stderr[-200:]}")
        host.start()
        try:
            yield host
        finally:
            if host.daemon is not None and host.daemon.poll() is None:
                host.stop()


@pytest.mark.parametrize(("module", "words", "least"), COMMANDS, ids=lambda each: str(each))
def test_each_command_is_for_its_role_and_those_above(host: Host, module: str, words: list[str], least: str) -> None:
    for user, group in USERS.items():
        done = host.command(user, module, *words)
        if not group:
            assert done.returncode == 3, done
            assert "nora may not open" in done.stderr
            continue
        role = group.removeprefix("v2g-")
        forbidden = f"needs the role {least} or a higher one; {user} has {role}" in done.stderr
        assert forbidden is (ROLES.index(role) < ROLES.index(least)), (user, done)
        if forbidden:
            assert done.returncode == 1


def test_every_call_is_in_the_log_with_the_user_that_the_kernel_names(host: Host) -> None:
    lines = [line for line in host.log_text("audit.log").splitlines() if "method=trip.reset" in line]
    assert len(lines) == 4
    for user, group in USERS.items():
        found = [line for line in lines if f" user={user} " in line]
        assert len(found) == bool(group)
        if group:
            role = group.removeprefix("v2g-")
            assert f" uid={host.ids[user][0]} " in found[0]
            assert f" role={role} " in found[0]
            assert ("error=FORBIDDEN" in found[0]) is (role in ("viewer", "utility"))


def test_no_user_but_the_daemons_can_write_the_log_or_read_the_key(host: Host) -> None:
    for path in (host.log / "audit.log", host.state / "audit.key", host.state / "audit.head"):
        assert path.stat().st_uid == DAEMON_UID
        assert not path.stat().st_mode & 0o022
    assert (host.state / "audit.key").stat().st_mode & 0o077 == 0
    done = host.command("eva", "tool", "audit", "verify", "--key", str(host.state / "audit.key"))
    assert done.returncode == 1
    assert "cannot be read" in done.stderr


@pytest.mark.parametrize("user", ["vera", "eva"])
def test_whoever_may_look_has_the_daemon_check_the_log(host: Host, user: str) -> None:
    done = host.verify(user)
    assert done.returncode == 0, done
    assert done.stdout.startswith("intact: ")


def test_one_byte_changed_is_found_by_the_daemon_and_by_root_and_named(host: Host) -> None:
    log = host.log / "audit.log"
    lines = log.read_bytes().splitlines(keepends=True)
    at = next(number for number, line in enumerate(lines, 1) if b"method=permit.service" in line and b"olaf" in line)
    changed = lines[at - 1].replace(b"user=olaf", b"user=olag")
    whole = log.read_bytes()
    with log.open("r+b") as file:
        file.seek(len(b"".join(lines[: at - 1])))
        file.write(changed)
    try:
        for done in (host.verify("vera"), verify_as_root(host)):
            assert done.returncode == 1, done
            assert "BROKEN: 1 finding" in done.stdout
            assert f"{log}:{at}: seq {at} altered: its text was altered" in done.stdout
    finally:
        with log.open("r+b") as file:
            file.write(whole)
    assert verify_as_root(host).returncode == 0


def verify_as_root(host: Host) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "v2g.cli.tool", "audit", "verify", "--config", str(host.etc)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_restart_of_the_daemon_goes_on_with_the_chain_and_names_what_was_edited_meanwhile(host: Host) -> None:
    host.stop()
    with (host.etc / "v2g.yaml").open("a") as file:
        file.write("# edited by hand\n")
    host.start()
    text = host.log_text("audit.log")
    assert text.count(" INFO: STOP ") == 1
    assert " before=ended " in text
    edited = [line for line in text.splitlines() if "CONFIG_FILE" in line and "file=v2g.yaml" in line]
    (line,) = [line for line in edited if "was=none" not in line]
    assert 'owner="uid 0"' in line
    assert host.daemon is not None
    host.daemon.kill()
    host.daemon.wait(10)
    with (host.log / "audit.log").open("ab") as file:
        file.write(b"2026-01-01T00:00:00.000Z INFO: CA")
    host.start()
    assert ' before="not ended" ' in host.log_text("audit.log")
    assert "torn_bytes=33" in host.log_text("audit.log")
    done = verify_as_root(host)
    assert done.returncode == 0, done.stdout
    assert "a line was cut off here (33 bytes)" in done.stdout
