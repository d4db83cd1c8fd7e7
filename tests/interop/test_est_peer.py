"""EST with a client that nobody here wrote, strongSwan's ``pki --est``, and the server that ours is tested with.

There is no EST server of others in PyPI, npm or Debian 12. What our client and our test server agree on could be wrong
in both; so the test server is held to another client. And ``v2g-cert-manager`` against the same server, as a whole.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from support.authority import CN, TestAuthority, key_pem, name, pem, request_for, write_private
from support.cmp_relay import openssl
from support.est_server import PASSWORD, USER, EstServer, running, status

pytestmark = pytest.mark.interop

BIN = Path(sys.executable).parent
ETC = Path(__file__).parents[2] / "etc/v2g"


@dataclass
class World:
    folder: Path
    root: TestAuthority
    server: EstServer
    bundle: Path


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    root = TestAuthority("Grid V2G Root", time.time(), domain="V2G", key=ec.generate_private_key(ec.SECP521R1()))
    sub_key = ec.generate_private_key(ec.SECP521R1())
    sub = TestAuthority("Grid CPO Sub CA", time.time(), issuer=root, domain="CPO", key=sub_key)
    bundle = tmp_path / "grid-ca.pem"
    bundle.write_bytes(pem(root.certificate))
    # strongSwan shows its leaf without the authorities above it.
    known = tmp_path / "known.pem"
    known.write_bytes(pem(root.certificate, sub.certificate))
    # strongSwan 5.9.8 takes base64 without line ends only, though RFC 8951 lets a server choose.
    server = EstServer(sub, wrapped_base64=False)
    with running(server, *root.server_files(tmp_path), client_ca=known):
        yield World(tmp_path, root, server, bundle)


# ---- strongSwan's client ----


@pytest.fixture
def strongswan() -> str:
    program = shutil.which("pki")
    if program is None:
        pytest.skip("strongSwan's pki is not installed: apt install strongswan-pki")
    shown = subprocess.run([program, "--est", "--help"], capture_output=True, text=True, check=False)
    if "EST server" not in shown.stdout + shown.stderr or not any(Path("/usr/lib/ipsec/plugins").glob("*curl*")):
        pytest.skip("this pki has no EST, or no plugin for https: apt install libstrongswan-extra-plugins")
    return program


def asks(world: World, program: str, request: Path, *more: str | Path) -> x509.Certificate:
    done = subprocess.run(
        [
            *(program, "--est", "--url", world.server.url, "--in", str(request), "--outform", "pem"),
            *("--cacert", str(world.bundle), *map(str, more)),
        ],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return x509.load_pem_x509_certificate(done.stdout)


def test_strongswan_is_given_a_certificate_and_renews_it(world: World, strongswan: str) -> None:
    key, key_file = ec.generate_private_key(ec.SECP256R1()), world.folder / "device.key"
    write_private(key_file, key_pem(key))
    request = world.folder / "device.csr"
    request.write_bytes(request_for(key, name((CN, "device"))).public_bytes(Encoding.DER))
    first = asks(world, strongswan, request, "--userpass", f"{USER}:{PASSWORD}")
    assert first.public_key() == key.public_key()
    chain = world.folder / "device.pem"
    chain.write_bytes(pem(first))
    new_key = ec.generate_private_key(ec.SECP256R1())
    request.write_bytes(request_for(new_key, name((CN, "device"))).public_bytes(Encoding.DER))
    second = asks(world, strongswan, request, "--cert", chain, "--key", key_file)
    assert second.public_key() == new_key.public_key()
    assert [proof for _, proof, _ in world.server.enrolled] == ["password", "certificate"]


# ---- v2g-cert-manager ----


def manager(world: World, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "v2g-cert-manager", *arguments, "--config", world.folder / "etc"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_provisions_and_renews_by_est(world: World) -> None:
    ssl, etc = world.folder / "ssl", world.folder / "etc"
    (etc / "conf.d").mkdir(parents=True)
    ssl.mkdir()
    for file in ("v2g.yaml", "sensor_map.conf"):
        shutil.copy(ETC / file, etc)
    password = write_private(world.folder / "password", PASSWORD.encode() + b"\n")
    enrolment = {"protocol": "est", "url": world.server.url, "user": USER, "password_file": str(password)}
    paths = {"run_dir": str(world.folder / "run"), "state_dir": str(world.folder), "log_dir": str(world.folder)}
    (etc / "conf.d/50-pki.yaml").write_text(
        yaml.safe_dump({"pki": {"dir": str(ssl), "enrolment": enrolment}, "paths": paths})
    )
    first = manager(world, "--provision", f"--ca-bundle={world.bundle}")
    assert first.returncode == 0, first.stdout + first.stderr
    before = x509.load_pem_x509_certificate((ssl / "chain.pem").read_bytes())
    openssl("verify", "-CAfile", world.bundle, "-untrusted", ssl / "chain.pem", ssl / "chain.pem")
    second = manager(world, "renew")
    assert second.returncode == 0, second.stdout + second.stderr
    after = x509.load_pem_x509_certificate((ssl / "chain.pem").read_bytes())
    assert after.public_key() != before.public_key()
    assert [(path.rsplit("/", 1)[1], proof) for path, proof, _ in world.server.enrolled] == [
        ("simpleenroll", "password"),
        ("simplereenroll", "certificate"),
    ]
    assert PASSWORD not in first.stdout + first.stderr + second.stdout + second.stderr

    world.server.fault = status(403, b"site is locked")
    third = manager(world, "renew")
    assert third.returncode == 1
    assert "site is locked" in third.stderr
    assert x509.load_pem_x509_certificate((ssl / "chain.pem").read_bytes()) == after
