"""The simulated certificate server, by the command that a real one is asked with."""

from __future__ import annotations

import base64
import ssl
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from cryptography import x509

from v2g.cli.cert_manager import cli
from v2g.clock import SystemClock
from v2g.host.notify import Notifier
from v2g.simulation import est, layout


@pytest.fixture(scope="module")
def site() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="v2g-est-") as name:
        folder = Path(name)
        built = layout.build(folder, 1, None, SystemClock())
        built.port_reservation.close()
        config = msgspec.json.decode(est.prepare(built, SystemClock()).read_bytes(), type=est.EstConfig)
        with est.Server(config, SystemClock(), Notifier({})) as server:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
            yield folder
            server.shutdown()


def post(site: Path, body: bytes, password: str, path: str = "simpleenroll") -> urllib.error.HTTPError:
    config = msgspec.json.decode((site / "est" / "config.json").read_bytes(), type=est.EstConfig)
    context = ssl.create_default_context(cafile=str(site / "pki" / est.ROOT))
    proof = base64.b64encode(f"{est.USER}:{password or config.password}".encode()).decode()
    headers = {"Content-Type": "application/pkcs10", "Authorization": f"Basic {proof}"}
    url = f"https://{est.HOST}:{config.port}/.well-known/est/{path}"
    request = urllib.request.Request(url, data=body, headers=headers)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, context=context, timeout=5.0)  # noqa: S310 - https
    return refused.value


def test_the_command_of_the_manual_gets_a_certificate_from_it(site: Path) -> None:
    words = ["provision", "--force", f"--ca-bundle={site / 'pki' / est.ROOT}", "--config", str(site / "etc")]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.output
    leaf, issuer = x509.load_pem_x509_certificates((site / "pki" / "chain.pem").read_bytes())
    leaf.verify_directly_issued_by(issuer)
    assert 89 < (leaf.not_valid_after_utc - leaf.not_valid_before_utc).days <= 90
    assert "CN=US*V2G*E1," in leaf.subject.rfc4514_string()


def test_a_wrong_password_no_request_and_another_operation_are_refused(site: Path) -> None:
    assert post(site, b"AAAA", "wrong").code == 401
    assert post(site, base64.b64encode(b"no request"), "").code == 400
    assert post(site, b"AAAA", "", "fullcmc").code == 404


def test_its_keys_and_password_are_private(site: Path) -> None:
    for name in ("config.json", "password", "server.key"):
        assert (site / "est" / name).stat().st_mode & 0o077 == 0
