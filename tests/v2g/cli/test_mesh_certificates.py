"""``v2g-cert-manager mesh-request``, ``mesh-install``, ``lab-ca --mesh-node``: as people type them."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from support.config_dir import write_config
from support.pki_site import config_tree
from v2g.cli.cert_manager import cli
from v2g.clock import SystemClock
from v2g.mesh.identity import load_identity, load_trust

Run = Callable[..., Result]
MESH = {
    "network": "grid-7",
    "node": "tr-12",
    "groups": [{"id": "feeder"}],
    "members": [{"id": "tr-12", "group": "feeder", "rated_kw": 250}],
}


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    write_config(tmp_path / "etc", {**config_tree(tmp_path), "mesh": MESH})
    return tmp_path / "etc"


@pytest.fixture
def run(etc: Path) -> Run:
    def run(*words: str) -> Result:
        return CliRunner().invoke(cli, [*words, "--config", str(etc)], catch_exceptions=False)

    return run


@pytest.fixture
def lab(run: Run, tmp_path: Path) -> Path:
    done = run("lab-ca", "--output", str(tmp_path / "lab"), "--mesh-node", "tr-11", "--mesh-node", "x@a.example,::1")
    assert done.exit_code == 0, done.output
    return tmp_path / "lab"


def signed(lab: Path, csr: Path, chain: Path) -> None:
    """With openssl, as the lab's README says."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl")
    ca = ["-CA", str(lab / "mesh-ca.pem"), "-CAkey", str(lab / "mesh-ca.key"), "-CAcreateserial"]
    command = [openssl, "x509", "-req", "-in", str(csr), "-copy_extensions", "copy", "-days", "90", *ca]
    subprocess.run([*command, "-out", str(chain)], check=True, capture_output=True, timeout=30)


def test_a_certificate_of_the_lab_is_used_as_it_lies_there(lab: Path) -> None:
    for name in ("tr-11", "x"):
        folder = lab / "mesh" / name
        trust = load_trust(folder / "ca.pem", None)
        found = load_identity(folder / "chain.pem", folder / "private.key", trust, name, SystemClock().unix_s())
        assert found.name == name
        assert stat.S_IMODE((folder / "private.key").stat().st_mode) == 0o600
    text = (lab / "README.txt").read_text()
    assert "mesh/x/: mesh.dir of node x, dialled as a.example, ::1" in text
    assert "mesh-ca.pem, mesh-ca.key" in text
    assert stat.S_IMODE((lab / "mesh-ca.key").stat().st_mode) == 0o600


def test_a_lab_without_a_mesh_has_no_authority_of_one(run: Run, tmp_path: Path) -> None:
    assert run("lab-ca", "--output", str(tmp_path / "lab")).exit_code == 0
    assert not list((tmp_path / "lab").glob("mesh*"))


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["@a.example"], 2, "is no NAME"),
        (["x@"], 2, "is no NAME"),
        (["x@a,,b"], 2, "is no NAME"),
        (["x", "x@a"], 2, "is there twice"),
        (["../x"], 1, "is no name of a mesh's node"),
        (["x" * 65], 1, "is no name of a mesh's node"),
        (["x@a b"], 1, "is no host name and no IP address"),
    ],
)
def test_nodes_that_cannot_be_are_told(run: Run, tmp_path: Path, words: list[str], code: int, said: str) -> None:
    given = [part for word in words for part in ("--mesh-node", word)]
    done = run("lab-ca", "--output", str(tmp_path / "lab"), *given)
    assert (done.exit_code, said in done.output) == (code, True), done.output
    assert not (tmp_path / "x").exists()


def test_request_signature_and_installation_by_files(run: Run, lab: Path, tmp_path: Path) -> None:
    csr, chain = tmp_path / "request.csr", tmp_path / "chain.pem"
    asked = run("mesh-request", "--output", str(csr), "--address", "tr-12.example", "--address", "192.0.2.12")
    assert asked.exit_code == 0, asked.output
    assert "request of CN=tr-12, which neighbours may dial as tr-12.example, 192.0.2.12" in asked.output
    assert f"have {csr} signed" in asked.output
    signed(lab, csr, chain)
    done = run("mesh-install", "--chain", str(chain), "--ca", str(lab / "mesh-ca.pem"))
    assert done.exit_code == 0, done.output
    assert "installed CN=tr-12 of CN=Lab Mesh CA" in done.output
    assert "does not run: it will be used at its next start" in done.output
    folder = tmp_path / "ssl" / "mesh"
    assert {each.name for each in folder.iterdir()} == {"private.key", "chain.pem", "ca.pem", ".lock"}
    trust = load_trust(folder / "ca.pem", None)
    identity = load_identity(folder / "chain.pem", folder / "private.key", trust, "tr-12", SystemClock().unix_s())
    assert identity.name == "tr-12"


def test_a_running_daemon_has_to_read_it_and_this_is_said(run: Run, lab: Path, tmp_path: Path) -> None:
    csr, chain = tmp_path / "request.csr", tmp_path / "chain.pem"
    run("mesh-request", "--output", str(csr))
    signed(lab, csr, chain)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        serving = asyncio.start_unix_server(lambda r, w: None, tmp_path / "control.sock")
        server = asyncio.run_coroutine_threadsafe(serving, loop).result(10.0)
        done = run("mesh-install", "--chain", str(chain), "--ca", str(lab / "mesh-ca.pem"))
        loop.call_soon_threadsafe(server.close)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10.0)
        loop.close()
    assert done.exit_code == 0
    assert "systemctl reload v2g-orchestrator" in done.output


def test_the_request_is_written_again_into_the_same_file(run: Run, tmp_path: Path) -> None:
    csr = tmp_path / "request.csr"
    assert run("mesh-request", "--output", str(csr), "--address", "a-rather-long-name.example").exit_code == 0
    assert run("mesh-request", "--output", str(csr)).exit_code == 0
    assert csr.read_bytes() == (tmp_path / "ssl/mesh/request.csr").read_bytes()


def test_no_other_file_is_written_over(run: Run, tmp_path: Path) -> None:
    mine = tmp_path / "mine.key"
    mine.write_text("-----BEGIN PRIVATE KEY-----\n")
    done = run("mesh-request", "--output", str(mine))
    assert done.exit_code == 1
    assert "is something else than a request" in done.output
    assert mine.read_text() == "-----BEGIN PRIVATE KEY-----\n"
    os.mkfifo(tmp_path / "pipe")
    assert "is something else" in run("mesh-request", "--output", str(tmp_path / "pipe")).output
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    assert run("mesh-request", "--output", str(tmp_path / "link")).exit_code == 1
    assert not (tmp_path / "elsewhere").exists()
    assert not (tmp_path / "ssl" / "mesh").exists()


def test_a_refused_request_leaves_no_empty_file(run: Run, tmp_path: Path) -> None:
    done = run("mesh-request", "--output", str(tmp_path / "new.csr"), "--address", "no address")
    assert (done.exit_code, "is no host name" in done.output) == (1, True)
    assert not (tmp_path / "new.csr").exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("mesh-request",), 2, "Missing option '--output'"),
        (("mesh-request", "--output", "/none/x.csr"), 1, "/none/x.csr cannot be written"),
        (("mesh-install",), 2, "Missing option '--chain'"),
        (("mesh-install", "--chain", "/none.pem"), 1, "there is no such file"),
    ],
)
def test_what_cannot_be_done_is_said(run: Run, words: tuple[str, ...], code: int, said: str) -> None:
    done = run(*words)
    assert (done.exit_code, said in done.output) == (code, True), done.output


def test_a_key_in_place_of_the_chain_is_told(run: Run, lab: Path, tmp_path: Path) -> None:
    assert run("mesh-request", "--output", str(tmp_path / "request.csr")).exit_code == 0
    done = run("mesh-install", "--chain", str(lab / "mesh-ca.key"), "--ca", str(lab / "mesh-ca.pem"))
    assert (done.exit_code, "is a private key, no certificate" in done.output) == (1, True)
    wrong_ca = run("mesh-install", "--chain", str(lab / "mesh-ca.pem"), "--ca", str(lab / "mesh/x/chain.pem"))
    assert (wrong_ca.exit_code, "is no certification authority" in wrong_ca.output) == (1, True)


def test_without_a_mesh_both_say_so(run: Run, etc: Path, tmp_path: Path) -> None:
    (etc / "v2g.yaml").write_text(yaml.safe_dump(config_tree(tmp_path)))
    done = run("mesh-request", "--output", str(tmp_path / "request.csr"))
    assert (done.exit_code, "is in no mesh" in done.output) == (1, True)
    assert not (tmp_path / "request.csr").exists()


def test_root_does_not_follow_a_directory_that_the_daemons_user_names(run: Run, etc: Path, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    dropin = etc / "conf.d" / "99-mine.yaml"
    dropin.write_text(yaml.safe_dump({"mesh": {"dir": str(tmp_path / "target")}}))
    os.chown(dropin, 65534, 65534)
    done = run("mesh-request", "--output", str(tmp_path / "request.csr"))
    assert done.exit_code == 1
    assert f"mesh.dir is set in {dropin}, which others than root may write" in done.output
    assert not (tmp_path / "target").exists()
