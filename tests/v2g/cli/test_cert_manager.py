"""``v2g-cert-manager`` as people type it: what it prints, what it ends with, what lies on the disk then."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from cryptography import x509

from pyiso15118.security import TlsProfile
from support.authority import CN, TestAuthority, name, pem
from support.config_dir import write_config
from support.pki_site import FakeServer, Utility, config_tree, p521
from v2g.cli.cert_manager import cli
from v2g.cli.lazy import LazyGroup
from v2g.cli.verbs import normalise
from v2g.clock import ManualClock, SystemClock
from v2g.config.schema import Roles
from v2g.config.schema_pki import KeyKind
from v2g.control.messages import NoParams
from v2g.control.messages_pki import PkiReloadResult, PkiStatusResult, ProfileInForce
from v2g.control.server import Caller, ControlServer, Method, Refused, Role
from v2g.pki import enrolment
from v2g.pki.bundle import certificates_in
from v2g.pki.facts import OWN, certificate_line
from v2g.pki.file_key import FileKeys

EST = {"protocol": "est", "url": "https://ca.example"}
Run = Callable[..., Result]


@pytest.fixture(scope="module")
def utility() -> Utility:
    return Utility(SystemClock().unix_s())


@pytest.fixture
def server(utility: Utility, monkeypatch: pytest.MonkeyPatch) -> FakeServer:
    server = FakeServer(utility)
    monkeypatch.setattr(enrolment, "enroller_for", lambda config, ca: server if config.pki.enrolment else None)
    return server


@pytest.fixture
def bundle(utility: Utility, tmp_path: Path) -> Path:
    return utility.write_bundle(tmp_path)


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    write_config(tmp_path / "etc", config_tree(tmp_path, enrolment=EST))
    return tmp_path / "etc"


@pytest.fixture
def run(etc: Path) -> Run:
    def run(*words: str) -> Result:
        verbs = cli.verbs if isinstance(cli, LazyGroup) else ()
        argv = normalise([*words, *([] if "lab-ca" in words else ["--config", str(etc)])], verbs)
        return CliRunner().invoke(cli, argv, prog_name="v2g-cert-manager", catch_exceptions=False)

    return run


@pytest.fixture
def by_hand(tmp_path: Path, etc: Path) -> None:
    (etc / "v2g.yaml").write_text(yaml.safe_dump(config_tree(tmp_path)))


@pytest.mark.parametrize("dashes", ["--", "–", "—", "–-", ""])
def test_the_manuals_own_words_provision_the_controller(
    run: Run, server: FakeServer, bundle: Path, tmp_path: Path, dashes: str
) -> None:
    done = run(f"{dashes}provision", f"--ca-bundle={bundle}")
    assert done.exit_code == 0, done.output
    assert [line.split()[0] for line in done.output.splitlines()] == [
        "made", "asking", "installed", "vehicles", "v2g-orchestrator",
    ]  # fmt: skip
    assert "does not run: it will be used at its next start" in done.output
    assert {path.name for path in (tmp_path / "ssl").iterdir()} == {
        "private.key", "chain.pem", "trust.pem", "ca-bundle.pem", ".lock",
    }  # fmt: skip
    again = run("provision", f"--ca-bundle={bundle}")
    assert (again.exit_code, again.stdout) == (1, "")
    assert "there is a certificate already" in again.stderr


def test_by_hand_request_and_chain_are_carried_as_files(
    run: Run, by_hand: None, bundle: Path, tmp_path: Path, utility: Utility
) -> None:
    asked = run("--provision", f"--ca-bundle={bundle}")
    assert asked.exit_code == 0
    assert f"wrote the request: {tmp_path}/ssl/request.csr" in asked.output
    chain = tmp_path / "chain-of-the-utility.pem"
    chain.write_bytes(
        pem(*utility.chain_for(x509.load_pem_x509_csr((tmp_path / "ssl/request.csr").read_bytes()))[::-1])
    )
    waiting = run("status")
    assert (waiting.exit_code, "a request waits to be signed" in waiting.output) == (1, True)
    done = run("install", str(chain), "--ca-bundle", str(bundle))
    assert done.exit_code == 0, done.output
    assert "installed DC=CPO,CN=US*V2G*E1" in done.output
    assert run("verify").exit_code == 0


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("provision",), 2, "Missing option '--ca-bundle'"),
        (("provision", "--ca-bundle", "/none.pem"), 1, "/none.pem: there is no such file"),
        (("install", "/none.pem"), 1, "/none.pem: there is no such file"),
        (("renew",), 1, "begin with v2g-cert-manager provision"),
        (("renew", "--if-due"), 0, "nothing to renew"),
        (("verify",), 1, "--ca-bundle FILE"),
        (("anchors", "/none.pem"), 1, "there is no such file"),
        (("provision", "--ca-bundle", "x", "--profile", "loose"), 2, "'loose' is not one of"),
        (("lab-ca",), 2, "Missing option '--output'"),
    ],
)
def test_what_cannot_be_done_is_said_with_its_exit_code(
    run: Run, server: FakeServer, words: tuple[str, ...], code: int, said: str
) -> None:
    done = run(*words)
    assert done.exit_code == code, done.output
    assert said in done.output


def test_a_configuration_with_mistakes_is_told_as_such(run: Run, etc: Path, bundle: Path) -> None:
    (etc / "v2g.yaml").write_text("pki: {renew_at: 2}\n")
    done = run("status")
    assert done.exit_code == 1
    assert "problem" in done.stderr


def test_odd_things_about_a_bundle_are_noted(run: Run, server: FakeServer, utility: Utility, tmp_path: Path) -> None:
    path = utility.write_bundle(tmp_path, utility.root.certificate, utility.cpo.certificate)
    done = run("provision", "--ca-bundle", str(path))
    assert done.exit_code == 0
    assert "note: " in done.stderr
    assert "more than once" in done.stderr
    assert "is no root" in done.stderr


# ---- status, verify ----


@pytest.fixture
def provisioned(run: Run, server: FakeServer, bundle: Path) -> None:
    assert run("provision", "--ca-bundle", str(bundle)).exit_code == 0


def test_status_shows_everything_that_is_asked_of_it(run: Run, provisioned: None, tmp_path: Path) -> None:
    done = run("status")
    assert done.exit_code == 0, done.output
    for words in (
        f"TLS strict: {tmp_path}/ssl",
        "DC=CPO,CN=US*V2G*E1",
        "DC=CPO,CN=Grid CPO CA",
        f"key: file {tmp_path}/ssl/private.key, ",
        " 0600; it is the certificate's",
        "daemon: not running",
        "own root ",
        "trust anchor ",
        "90",
    ):
        assert words in done.output
    assert "PROBLEM" not in done.output


def test_status_as_json_is_for_programs(run: Run, provisioned: None) -> None:
    answer = json.loads(run("status", "--json").stdout)
    (strict,) = answer["profiles"]
    assert strict["profile"] == "strict"
    assert strict["key_matches"] is True
    assert strict["certificates"][0]["days_left"] == pytest.approx(90.0, abs=0.1)
    assert strict["in_use_by_daemon"] is None
    assert answer["daemon"] == "not running"


def test_status_of_an_open_key_has_the_command_to_run(run: Run, provisioned: None, tmp_path: Path) -> None:
    key = tmp_path / "ssl/private.key"
    key.chmod(0o640)
    done = run("status")
    assert done.exit_code == 1
    assert f"PROBLEM: private key {key} is open to others (mode 0640): chmod 600 {key}" in done.output


def test_forty_anchors_do_not_fill_the_screen(run: Run, provisioned: None, tmp_path: Path) -> None:
    key, now = p521(), SystemClock().unix_s()
    roots = tmp_path / "roots.pem"
    roots.write_bytes(pem(*(TestAuthority(f"OEM {n}", now, key=key).certificate for n in range(40))))
    done = run("anchors", str(roots))
    assert done.exit_code == 0, done.output
    assert "40 trust anchors" in done.output
    shown = run("status").output
    assert "and 32 more trust anchors" in shown
    assert shown.count("CN=OEM") == 8


def test_verify_tells_of_each_file_by_itself(run: Run, provisioned: None, utility: Utility, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.pem", tmp_path / "bad.pem"
    good.write_bytes((tmp_path / "ssl/chain.pem").read_bytes())
    bad.write_bytes(pem(utility.cpo.leaf(name((CN, "X")), p521().public_key()), utility.cpo.certificate))
    done = run("verify", str(good), str(bad))
    assert done.exit_code == 1
    ok, failed = done.stdout.splitlines()
    assert ok.startswith(f"{good}: OK: DC=CPO,CN=US*V2G*E1 < DC=CPO,CN=Grid CPO CA < DC=V2G,CN=Grid Root; until ")
    assert failed.startswith(f"{bad}: FAILED: the chain cannot be used: ")
    assert run("verify", str(good)).exit_code == 0


def test_verify_without_a_file_holds_the_key_against_the_certificate(
    run: Run, provisioned: None, tmp_path: Path
) -> None:
    assert "OK: " in run("verify").output

    _, other = FileKeys(tmp_path, KeyKind.P521, TlsProfile.STRICT).generate()
    (tmp_path / "ssl/private.key").write_bytes(other.content)
    done = run("verify")
    assert done.exit_code == 1
    assert "no certificate of the chain has our key" in done.output


def test_a_crl_that_names_our_certificate_is_heeded(
    run: Run, provisioned: None, utility: Utility, tmp_path: Path
) -> None:
    own = certificates_in((tmp_path / "ssl/chain.pem").read_bytes(), "chain")[0]
    crl_dir = tmp_path / "ssl/crl"
    crl_dir.mkdir(exist_ok=True)
    (crl_dir / "cpo.crl").write_bytes(utility.cpo.crl(own))
    done = run("verify")
    assert done.exit_code == 1
    assert "revoked" in done.output


def test_lab_ca_is_made_where_it_does_no_harm(run: Run, tmp_path: Path) -> None:
    done = run("lab-ca", "--output", str(tmp_path / "lab"), "--kind", "Ed448", "--secc-id", "S1", "--evccid", "V1")
    assert done.exit_code == 0, done.output
    assert "secc-S1.pem" in done.output
    assert "NOT FOR PRODUCTION" in done.output
    again = run("lab-ca", "--output", str(tmp_path / "lab"))
    assert again.exit_code == 1
    assert "is not empty" in again.output


# ---- the daemon ----


class FakeDaemon:
    """A control socket that answers ``pki.status`` and ``pki.reload``."""

    def __init__(self, path: Path, chain: Path) -> None:
        self._path = path
        self._chain = chain
        self.reloads = 0
        self.refusal = ""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        methods = (
            Method("pki.status", Role.VIEWER, NoParams, self.status),
            Method("pki.reload", Role.ENGINEER, NoParams, self.reload),
        )
        self._server = ControlServer(path, methods, Roles(), lambda *_, **__: None, ManualClock())

    async def status(self, params: NoParams, caller: Caller) -> PkiStatusResult:
        now = SystemClock().unix_s()
        line = certificate_line(certificates_in(self.shown, "chain")[0], OWN, "chain.pem", now)
        return PkiStatusResult(profiles=(ProfileInForce(profile="strict", loaded_at_unix_s=now, certificates=(line,)),))

    async def reload(self, params: NoParams, caller: Caller) -> PkiReloadResult:
        if self.refusal:
            raise Refused(self.refusal, code="PKI_REFUSED")
        self.reloads += 1
        self.shown = self._chain.read_bytes()
        return PkiReloadResult(message="2 EVSEs serve with it from now on", evses=("E1", "E2"), unusable={"E3": "why"})

    def __enter__(self) -> FakeDaemon:
        self.shown = self._chain.read_bytes() if self._chain.exists() else b""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._server.start(), self._loop).result(10.0)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._server.close(), self._loop).result(10.0)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10.0)
        self._loop.close()


@pytest.fixture
def daemon(tmp_path: Path, provisioned: None) -> Iterator[FakeDaemon]:
    with FakeDaemon(tmp_path / "control.sock", tmp_path / "ssl/chain.pem") as daemon:
        yield daemon


def test_a_renewal_is_told_to_the_running_daemon(run: Run, daemon: FakeDaemon) -> None:
    assert "daemon: serves with this certificate" in run("status").output
    done = run("renew")
    assert done.exit_code == 0, done.output
    assert daemon.reloads == 1
    assert "2 EVSEs serve with it from now on" in done.output
    assert "E3: no vehicle can connect: why" in done.output


def test_a_daemon_that_refuses_ends_in_1_and_status_shows_that_it_serves_with_another(
    run: Run, daemon: FakeDaemon
) -> None:
    daemon.refusal = "the key is open to others"
    done = run("renew")
    assert done.exit_code == 1
    assert "installed, but the daemon goes on with what it had: the key is open to others" in done.stderr
    assert "daemon: serves with another certificate: systemctl reload v2g-orchestrator" in run("status").output


def test_the_timer_tells_a_daemon_that_was_not_told_the_last_time(run: Run, daemon: FakeDaemon) -> None:
    daemon.refusal = "it is starting"
    assert run("renew").exit_code == 1
    assert run("renew", "--if-due").exit_code == 1
    daemon.refusal = ""
    done = run("renew", "--if-due")
    assert (done.exit_code, daemon.reloads) == (0, 1), done.output
    assert "2 EVSEs serve with it from now on" in done.output
    run("renew", "--if-due")
    assert daemon.reloads == 1


def test_root_does_not_follow_what_the_daemons_user_may_write(
    run: Run, etc: Path, bundle: Path, server: FakeServer, tmp_path: Path
) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    (etc / "conf.d").mkdir(exist_ok=True)
    dropin = etc / "conf.d" / "99-mine.yaml"
    dropin.write_text(yaml.safe_dump({"pki": {"dir": str(tmp_path / "sshd.service.d")}}))
    os.chown(dropin, 65534, 65534)
    for words in (("provision", "--ca-bundle", str(bundle)), ("status",)):
        done = run(*words)
        assert done.exit_code == 1
        assert f"pki.dir is set in {dropin}, which others than root may write" in done.stderr
    assert not (tmp_path / "sshd.service.d").exists()
    dropin.write_text(
        yaml.safe_dump({"pki": {"token": {"uri": "pkcs11:token=x", "module": str(tmp_path / "evil.so")}}})
    )
    assert "pki.token" in run("status").stderr
    dropin.write_text(yaml.safe_dump({"pki": {"warn_days": 31}}))
    assert run("provision", "--ca-bundle", str(bundle)).exit_code == 0


def test_nothing_due_does_not_disturb_the_daemon(run: Run, daemon: FakeDaemon) -> None:
    done = run("renew", "--if-due")
    assert done.exit_code == 0
    assert done.output.startswith("not due: ")
    assert daemon.reloads == 0


def test_what_answers_but_is_no_daemon_ends_in_3(run: Run, provisioned: None, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(tmp_path / "control.sock"))
        listener.listen()

        def hang_up() -> None:
            for _ in range(2):
                listener.accept()[0].close()

        thread = threading.Thread(target=hang_up, daemon=True)
        thread.start()
        done = run("renew")
        thread.join(10.0)
    assert done.exit_code == 3, done.output
    assert "installed, but the daemon could not be told" in done.stderr
    assert "systemctl reload v2g-orchestrator" in done.stderr


def test_a_socket_that_a_dead_daemon_left_is_no_daemon(run: Run, provisioned: None, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(tmp_path / "control.sock"))
    done = run("renew")
    assert done.exit_code == 0, done.output
    assert "does not run" in done.output
