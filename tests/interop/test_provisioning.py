"""Certificates from a CMP server that nobody here wrote: the manual's commands, and a renewal under a running session.

The server is ``openssl cmp -port``, the authority ``openssl x509``; see ``support/cmp_relay.py`` for what the mock does
not do by itself. The manual's paths (/etc/ssl/certs/grid-ca.pem, /etc/ssl/v2g, /etc/v2g) are real ones in a mount
namespace with an overlay over /etc, so that the machine's own stay as they are.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from simulation.conftest import Simulation
from support.cmp_relay import CmpAuthority, openssl, secret_proof, serving, signed_proof

pytestmark = pytest.mark.interop

BIN = Path(sys.executable).parent
ETC = Path(__file__).parents[2] / "etc/v2g"
REPORT = Path(__file__).parents[1] / "bench/report_provisioning.md"
SECRET = "grid secret of maple street"
VERBATIM = "v2g-cert-manager --provision --ca-bundle=/etc/ssl/certs/grid-ca.pem"


@pytest.fixture(scope="module")
def report() -> Iterator[dict[str, list[str]]]:
    """Section -> lines."""
    sections: dict[str, list[str]] = {}
    yield sections
    if len(sections) < 2:
        return
    head = [
        "# Certificates from a CMP server of others: what happened",
        "",
        "By `pytest -m interop tests/interop/test_provisioning.py`. Server: `openssl cmp -port` (mock); authority:",
        f"`openssl x509`; {openssl('version').strip()}.",
        "",
        "The mock returns a certificate that it is given. So a relay takes the request out of the first message, has",
        "it signed, and hands all messages on. The mock checks protection, proof of possession and confirmation. It",
        "does not compare names, know who may have what, or revoke.",
        "",
        "PyPI, npm and Debian 12 have no EST server of others: our EST client is shown against our test server, and",
        "that against the EST client of strongSwan (`tests/interop/test_est_peer.py`).",
    ]
    lines = [line for name, section in sections.items() for line in ("", f"## {name}", "", *section)]
    REPORT.write_text("\n".join([*head, *lines]) + "\n", encoding="utf-8")


# ---- the manual's commands ----


@dataclass
class Host:
    """A machine whose /etc is an overlay: what is written there is under ``upper``."""

    folder: Path
    upper: Path

    def run(self, command: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """As a person types it, at a shell of that machine."""
        script = (
            f"mount -t overlay overlay -o lowerdir=/etc,upperdir={self.upper},workdir={self.folder / 'work'} /etc"
            f" && {command}"
        )
        return subprocess.run(
            ["unshare", "-m", "sh", "-c", script],
            env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )


@pytest.fixture
def host(tmp_path: Path) -> Host:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("mount namespaces need root and unshare")
    for name in ("upper", "work"):
        (tmp_path / name).mkdir()
    host = Host(tmp_path, tmp_path / "upper")
    if (made := host.run("true")).returncode != 0:
        pytest.skip(f"no overlay in a mount namespace here: {made.stderr.strip()}")
    return host


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[CmpAuthority]:
    """A V2G root and a CPO sub CA below it, made by openssl; the secret that the utility gave us."""
    root, root_key, sub, sub_key = (tmp_path / name for name in ("root.pem", "root.key", "sub.pem", "sub.key"))
    openssl("ecparam", "-name", "secp521r1", "-genkey", "-noout", "-out", root_key)
    ca = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n"
    (tmp_path / "ca.cnf").write_text(
        "[req]\ndistinguished_name=dn\nx509_extensions=ca\n[dn]\n[ca]\nsubjectKeyIdentifier=hash\n" + ca
    )
    openssl(
        *("req", "-x509", "-new", "-key", root_key, "-sha512", "-days", "3650", "-config", tmp_path / "ca.cnf"),
        *("-subj", "/CN=Grid V2G Root/DC=V2G", "-out", root),
    )
    openssl("ecparam", "-name", "secp521r1", "-genkey", "-noout", "-out", sub_key)
    openssl("req", "-new", "-key", sub_key, "-subj", "/CN=Grid CPO Sub CA/DC=CPO", "-out", tmp_path / "sub.csr")
    (tmp_path / "sub.cnf").write_text(
        "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n"
        "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
    )
    openssl(
        *("x509", "-req", "-in", tmp_path / "sub.csr", "-CA", root, "-CAkey", root_key, "-sha512", "-days", "3000"),
        *("-extfile", tmp_path / "sub.cnf", "-out", sub),
    )
    secret = tmp_path / "secret"
    secret.write_text(SECRET + "\n")
    secret.chmod(0o600)
    with serving(CmpAuthority(tmp_path, sub, sub_key, secret_proof(secret))) as running:
        yield running


def furnish(host: Host, authority: CmpAuthority, root: Path) -> None:
    """What an engineer has put there before: configuration, the utility's bundle, the secret."""
    for folder in ("v2g/conf.d", "ssl/certs", "ssl/v2g/crl"):
        (host.upper / folder).mkdir(parents=True)
    shutil.copy(ETC / "sensor_map.conf", host.upper / "v2g")
    # The example's second EVSE is for older vehicles, with a certificate of its own kind.
    example = (ETC / "v2g.yaml").read_text().replace("tls: compat", "tls: strict")
    (host.upper / "v2g/v2g.yaml").write_text(example)
    enrolment = {
        "protocol": "cmp",
        "url": authority.url,
        "user": "maple-street-12",
        "password_file": "/etc/v2g/enrolment.secret",
    }
    (host.upper / "v2g/conf.d/50-pki.yaml").write_text(yaml.safe_dump({"pki": {"enrolment": enrolment}}))
    shutil.copy(root, host.upper / "ssl/certs/grid-ca.pem")
    secret = host.upper / "v2g/enrolment.secret"
    secret.write_text(SECRET + "\n")
    secret.chmod(0o600)


def test_the_manuals_command_verbatim_provisions_and_then_renews(
    host: Host, authority: CmpAuthority, tmp_path: Path, report: dict[str, list[str]]
) -> None:
    root = tmp_path / "root.pem"
    furnish(host, authority, root)
    installed = host.upper / "ssl/v2g"

    provisioned = host.run(VERBATIM)
    assert provisioned.returncode == 0, provisioned.stdout + provisioned.stderr
    assert SECRET not in provisioned.stdout + provisioned.stderr
    key, chain = installed / "private.key", installed / "chain.pem"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    first, *others = x509.load_pem_x509_certificates(chain.read_bytes())
    assert isinstance(first.public_key(), ec.EllipticCurvePublicKey)
    assert first.public_key().curve.name == "secp521r1"
    assert "CN=US*V2G*E1" in first.subject.rfc4514_string()
    assert len(others) == 1
    openssl("verify", "-CAfile", root, "-untrusted", authority.certificate, chain)
    shown = openssl("pkey", "-in", key, "-pubout")
    assert shown == openssl("x509", "-in", chain, "-noout", "-pubkey")
    verified = host.run("v2g-cert-manager verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr

    again = host.run(VERBATIM)
    assert again.returncode == 1
    assert "there is a certificate already" in again.stderr

    authority.switch(signed_proof(tmp_path, authority.certificate, authority.key, root))
    renewed = host.run("v2g-cert-manager renew")
    assert renewed.returncode == 0, renewed.stdout + renewed.stderr
    second, *_ = x509.load_pem_x509_certificates(chain.read_bytes())
    assert second.public_key() != first.public_key()
    assert second.subject == first.subject
    status = host.run("v2g-cert-manager status")
    assert status.returncode == 0, status.stdout + status.stderr
    assert not Path("/etc/ssl/certs/grid-ca.pem").exists()
    report["The manual's command"] = [
        f"`{VERBATIM}`, exit code {provisioned.returncode}:",
        "",
        *(f"    {line}" for line in unplaced(provisioned.stdout, authority.port).splitlines()),
        "",
        "`v2g-cert-manager renew`, exit code 0, protected by the certificate in force:",
        "",
        *(f"    {line}" for line in unplaced(renewed.stdout, authority.port).splitlines()),
    ]


def unplaced(text: str, port: int) -> str:
    return text.replace(f":{port}/", ":PORT/")


@pytest.mark.parametrize(
    ("mood", "words"),
    [
        (["-pkistatus", "2", "-failure", "0", "-statusstring", "unknown site"], "unknown site"),
        (["-send_unprotected"], "protect"),
        (["-poll_count", "9", "-check_after", "900"], "the request is kept"),
    ],
    ids=["rejected", "unprotected", "waiting"],
)
def test_a_server_that_does_not_give_one_changes_nothing(
    host: Host, authority: CmpAuthority, tmp_path: Path, mood: list[str], words: str
) -> None:
    furnish(host, authority, tmp_path / "root.pem")
    (host.upper / "v2g/conf.d/60-quick.yaml").write_text(
        yaml.safe_dump({"pki": {"enrolment": {"timeout_s": 2}}}) if "-poll_count" in mood else ""
    )
    authority.switch([*authority.proof, *mood])
    answer = host.run(VERBATIM)
    assert answer.returncode == 1, answer.stdout
    assert words in answer.stderr
    assert SECRET not in answer.stdout + answer.stderr
    assert not (host.upper / "ssl/v2g/private.key").exists()
    assert not (host.upper / "ssl/v2g/chain.pem").exists()


# ---- under a running session ----

OTHER = "US*V2G*E2"


@contextmanager
def simulation(tmp_path: Path, enrolment: dict[str, Any]) -> Iterator[Simulation]:
    overlay = tmp_path / "enrolment.yaml"
    overlay.write_text(yaml.safe_dump({"pki": {"enrolment": enrolment}}))
    running = Simulation("--vehicles", "2", "--overlay", str(overlay))
    try:
        yield running
    finally:
        code, left = running.end()
        running.remove()
        assert (code, left) == (0, [])


def session_of(site: Simulation, number: int) -> Any:
    return next(vehicle for vehicle in site.vehicles() if vehicle.evse_id == f"US*V2G*E{number}")


def leaf_shown(site: Simulation) -> str:
    """What the TLS client of a stranger is shown at the second EVSE, by serial number; empty: nothing."""
    done = subprocess.run(
        [
            *("openssl", "s_client", "-connect", f"[::1]:{site.evse(OTHER)['tcp_port']}", "-tls1_3"),
            *("-groups", "P-521", "-sigalgs", "ecdsa_secp521r1_sha512", "-showcerts"),
        ],
        input="",
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    found = re.search("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", done.stdout, re.DOTALL)
    return serial_in(found[0].encode()) if found else ""


def serial_in(pem: bytes) -> str:
    return f"{x509.load_pem_x509_certificate(pem).serial_number:x}"


@pytest.mark.soak
def test_a_renewal_under_a_running_session_leaves_it_unharmed(tmp_path: Path, report: dict[str, list[str]]) -> None:
    authority = CmpAuthority(tmp_path, Path(), Path(), ())
    with serving(authority), simulation(tmp_path, {"protocol": "cmp", "url": authority.url, "timeout_s": 20}) as site:
        pki = site.run_dir / "pki"
        site.wait_for("both vehicles in the charge loop", lambda: site.charge_loops(1, 2), 60.0)
        # Copies: what has the run directory in its arguments is taken for a process that the simulation left behind.
        authority.certificate, authority.key, root = (
            Path(shutil.copy2(pki / name, tmp_path)) for name in ("cpo-sub-ca.pem", "cpo-sub-ca.key", "v2g-root.pem")
        )
        authority.switch(signed_proof(tmp_path, authority.certificate, authority.key, root))
        site.dispatch("10kW")
        site.wait_for("-10 kW", lambda: site.steady(-10_000.0), 20.0)
        before = session_of(site, 1)
        old = serial_in((pki / "chain.pem").read_bytes())
        said_before = len(site.log("comms.log").splitlines())

        begin_s = time.monotonic()
        renewing = subprocess.Popen(
            [BIN / "v2g-cert-manager", "renew", "--config", str(site.run_dir / "etc")],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        powers = []
        while renewing.poll() is None or time.monotonic() - begin_s < 5.0:
            powers.append(site.measure().ac_w)
            time.sleep(0.02)
            assert time.monotonic() - begin_s < 60.0
        output = renewing.communicate()[0]
        took_s = time.monotonic() - begin_s
        assert renewing.returncode == 0, output

        after = session_of(site, 1)
        assert before.session_id
        assert (after.session_id, after.sessions, after.state) == (before.session_id, before.sessions, "charging")
        assert min(powers) > -10_300.0
        assert max(powers) < -9_700.0
        said = site.log("comms.log").splitlines()[said_before:]
        assert not [line for line in said if " ERROR: " in line or "TIMEOUT" in line or "SESSION_END" in line], said
        new = serial_in(authority.issued[-1].read_bytes())
        assert new != old

        # One vehicle an EVSE: a stranger is spoken to where there is none. The supervisor would start another at once.
        ended = session_of(site, 2)
        with site.stopped("supervisor"):
            os.kill(site.pids()["vehicle 2"], signal.SIGKILL)
            site.wait_for("the new leaf shown to a stranger", lambda: leaf_shown(site) == new, 30.0)
        # A vehicle verifies the new chain to its V2G root in the session that it begins now.
        site.wait_for(
            "the second vehicle back with a session of its own",
            lambda: session_of(site, 2).session_id not in ("", ended.session_id) and site.charge_loops(1, 2),
            60.0,
        )
        assert session_of(site, 1).session_id == before.session_id
        report["A renewal under a running session"] = [
            f"Two vehicles discharge 10 kW together; `v2g-cert-manager renew` runs. AC power in {took_s:.1f} s with",
            f"{len(powers)} samples: {min(powers):.0f} to {max(powers):.0f} W. Same session id before and after, no",
            "error or timeout in comms.log. An openssl client is shown the new leaf; a vehicle that comes back accepts",
            "it, while the other's session goes on.",
            "",
            *(f"    {line}" for line in unplaced(output, authority.port).replace(str(site.folder), "…").splitlines()),
        ]
