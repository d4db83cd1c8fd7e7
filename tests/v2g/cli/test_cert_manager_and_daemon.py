"""The real command and the real daemon, each a process: a bad key, provisioning, a renewal under a vehicle."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from cryptography import x509

from pyiso15118.security import TlsProfile, client_context
from support.authority import CN, DC, key_pem, name, pem, write_private
from support.config_dir import write_config
from support.est_server import PASSWORD, USER, EstServer
from support.est_server import running as running_server
from support.pki_site import Utility, config_tree, p521
from v2g.clock import SystemClock

pytestmark = pytest.mark.soak
Command = Callable[..., subprocess.CompletedProcess[str]]
EX_CONFIG = 78


def free_port() -> int:
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
        probe.bind(("::1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def folder() -> Iterator[Path]:
    with TemporaryDirectory(prefix="v2g") as made:
        yield Path(made)


@pytest.fixture(scope="module")
def utility() -> Utility:
    return Utility(SystemClock().unix_s())


@pytest.fixture
def port(folder: Path) -> int:
    """Of the one EVSE of the configuration in ``folder/etc``."""
    port = free_port()
    tree = config_tree(folder)
    tree["evses"] = [{**tree["evses"][0], "interface": "lo", "tcp_port": port, "sdp_port": port}]
    tree["pki"]["revocation"] = {"check": False}
    write_config(folder / "etc", tree)
    return port


def words(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", f"v2g.cli.{module}", *arguments]


@pytest.fixture
def command(folder: Path, port: int) -> Command:
    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words("cert_manager", *arguments, "--config", str(folder / "etc")),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return command


@pytest.fixture
def provisioned(command: Command, folder: Path, utility: Utility) -> None:
    """As the manual says, signed by hand."""
    done = command("–-provision", f"--ca-bundle={utility.write_bundle(folder)}")
    assert done.returncode == 0, done.stderr
    sign(folder, utility)
    done = command("install", str(folder / "chain.pem"), "--ca-bundle", str(folder / "grid-ca.pem"))
    assert done.returncode == 0, done.stderr


def sign(folder: Path, utility: Utility) -> None:
    csr = x509.load_pem_x509_csr((folder / "ssl/request.csr").read_bytes())
    (folder / "chain.pem").write_bytes(pem(*utility.chain_for(csr)))


def start(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        words("orchestrator", "--config", str(folder / "etc")),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )


@pytest.fixture
def daemon(folder: Path, provisioned: None) -> Iterator[subprocess.Popen[str]]:
    with running_daemon(folder) as daemon:
        yield daemon


@contextmanager
def running_daemon(folder: Path) -> Iterator[subprocess.Popen[str]]:
    daemon = start(folder)
    try:
        wait_for(lambda: "READY" in log(folder, "daemon"), daemon)
        yield daemon
    finally:
        daemon.send_signal(signal.SIGTERM)
        try:
            daemon.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.communicate()


def log(folder: Path, which: str) -> str:
    path = folder / f"{which}.log"
    return path.read_text() if path.exists() else ""


def wait_for(done: Callable[[], bool], daemon: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 30.0
    while not done():
        assert daemon.poll() is None, daemon.stderr.read() if daemon.stderr else ""
        assert time.monotonic() < deadline
        time.sleep(0.05)


class Vehicle:
    """A TLS connection to the EVSE that stays open."""

    def __init__(self, port: int, context: Any) -> None:
        self.socket = socket.create_connection(("::1", port), timeout=10.0)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=False)
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._exchange()
        self.socket.sendall(self._outgoing.read())
        der = self._tls.getpeercert(binary_form=True)
        self.served_with = x509.load_der_x509_certificate(der).serial_number

    def _exchange(self) -> None:
        self.socket.sendall(self._outgoing.read())
        received = self.socket.recv(65_536)
        assert received, "the daemon hung up"
        self._incoming.write(received)

    def is_open(self) -> bool:
        self.socket.settimeout(0.3)
        try:
            return self.socket.recv(1) != b""
        except TimeoutError:
            return True


@pytest.fixture
def connect(folder: Path, port: int, utility: Utility) -> Callable[[], Vehicle]:
    """A vehicle of the same V2G root, by which vehicles are trusted here."""
    key = p521()
    certificate = utility.oem.leaf(name((CN, "WMIV2G0001"), (DC, "OEM")), key.public_key())
    chain = folder / "vehicle.pem"
    chain.write_bytes(pem(certificate, *utility.oem.chain))
    context = client_context(
        TlsProfile.STRICT, chain, write_private(folder / "vehicle.key", key_pem(key)), [utility.write_bundle(folder)]
    )
    return lambda: Vehicle(port, context)


def test_an_est_server_signs_the_first_certificate_and_its_renewal_under_a_connected_vehicle(
    folder: Path, port: int, command: Command, utility: Utility, connect: Callable[[], Vehicle]
) -> None:
    bundle = utility.write_bundle(folder)
    password = write_private(folder / "enrolment.secret", f"{PASSWORD}\n".encode())
    files = utility.root.server_files(folder)
    with running_server(EstServer(utility.cpo), *files, client_ca=bundle) as est:
        settings = {"protocol": "est", "url": est.url, "user": USER, "password_file": str(password)}
        (folder / "etc/conf.d/10-enrolment.yaml").write_text(yaml.safe_dump({"pki": {"enrolment": settings}}))
        done = command("--provision", f"--ca-bundle={bundle}")
        assert done.returncode == 0, done.stderr
        assert "does not run" in done.stdout
        with running_daemon(folder) as daemon:
            first = connect()
            not_due = command("renew", "--if-due")
            assert (not_due.returncode, len(est.enrolled)) == (0, 1), not_due.stderr
            done = command("renew")
            assert done.returncode == 0, done.stderr
            assert "1 EVSE serves" in done.stdout
            assert first.is_open()
            first.socket.close()
            second = connect()
            second.socket.close()
            assert first.served_with != second.served_with
            assert daemon.poll() is None
        assert [path.rpartition("/")[2] for path, _, _ in est.enrolled] == ["simpleenroll", "simplereenroll"]
        before, after = (csr.public_key() for _, _, csr in est.enrolled)
        assert before != after


@pytest.mark.parametrize("spoil", ["readable", "link"])
def test_the_daemon_refuses_to_start_with_a_key_that_others_may_read_and_prints_the_chmod(
    provisioned: None, folder: Path, spoil: str
) -> None:
    key = folder / "ssl/private.key"
    if spoil == "readable":
        key.chmod(0o640)
        wanted = f"private key {key} is open to others (mode 0640): chmod 600 {key}"
    else:
        key.rename(folder / "elsewhere.key")
        key.symlink_to(folder / "elsewhere.key")
        wanted = f"private key {key} is a symbolic link"
    daemon = start(folder)
    _, said = daemon.communicate(timeout=60)
    assert daemon.returncode == EX_CONFIG
    assert "START_FAILED" in said
    assert wanted in said
    assert wanted in log(folder, "daemon")


def test_a_renewal_reaches_new_vehicles_and_leaves_connected_ones_alone(
    daemon: subprocess.Popen[str], command: Command, folder: Path, utility: Utility, connect: Callable[[], Vehicle]
) -> None:
    first = connect()
    assert "daemon: serves with this certificate" in command("status").stdout
    assert command("renew").returncode == 0
    sign(folder, utility)
    done = command("install", str(folder / "chain.pem"))
    assert done.returncode == 0, done.stderr
    assert "1 EVSE serves" in done.stdout
    assert first.is_open()
    wait_for(lambda: "PKI_RELOADED" in log(folder, "daemon"), daemon)
    installed = x509.load_pem_x509_certificates((folder / "ssl/chain.pem").read_bytes())[0].serial_number
    first.socket.close()
    assert first.served_with != installed
    second = connect()
    second.socket.close()
    assert second.served_with == installed
    assert daemon.poll() is None


def test_a_hangup_judges_the_certificates_and_takes_the_configuration_whole_or_not_at_all(
    daemon: subprocess.Popen[str], folder: Path, connect: Callable[[], Vehicle]
) -> None:
    (folder / "ssl/private.key").chmod(0o644)
    os.kill(daemon.pid, signal.SIGHUP)
    wait_for(lambda: "CONFIG_REFUSED" in log(folder, "daemon"), daemon)
    assert f"chmod 600 {folder}/ssl/private.key" in log(folder, "daemon")
    connect().socket.close()
    (folder / "ssl/private.key").chmod(0o600)
    os.kill(daemon.pid, signal.SIGHUP)
    # The pair is good again; no guard runs here that could take the rest, so nothing is taken.
    wait_for(lambda: "SENSORS_REFUSED v2g-guard-wires is not connected" in log(folder, "daemon"), daemon)
    assert "PKI_RELOADED" not in log(folder, "daemon")
