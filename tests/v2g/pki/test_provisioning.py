"""From nothing to a certificate in force and through its renewals, with an authority that signs or fails."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from pyiso15118.security import TlsProfile, server_context
from support.authority import DAY_S, TestAuthority, pem
from support.pki_site import NOW, FakeServer, Utility, clock_at, make_config
from v2g.clock import ManualClock
from v2g.pki.bundle import Bundle, certificates_in, read_bundle
from v2g.pki.enrolment_answer import EnrolmentPending
from v2g.pki.key_home import key_home_for
from v2g.pki.model import KeyReference, PkiError, PrivateKey
from v2g.pki.provisioning import Provisioner
from v2g.pki.store import CHAIN, KEY, ROOTS, TRUST

EST = {"protocol": "est", "url": "https://ca.example"}
Make = Callable[..., Provisioner]
WAITING = {"request.csr", "pending.key", "pending.ca-bundle.pem", ".lock"}


@pytest.fixture(scope="module")
def utility() -> Utility:
    return Utility()


@pytest.fixture
def bundle(utility: Utility, tmp_path: Path) -> Bundle:
    return utility.bundle(tmp_path)


@pytest.fixture
def server(utility: Utility) -> FakeServer:
    return FakeServer(utility)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def make(tmp_path: Path, said: list[str]) -> Make:
    def make(
        server: FakeServer | None, profile: TlsProfile = TlsProfile.STRICT, clock: ManualClock | None = None, **pki: Any
    ) -> Provisioner:
        config = make_config(tmp_path, **({"enrolment": EST} if server is not None else {}), **pki)
        return Provisioner(
            config, profile, key_home_for(config, profile), lambda ca: server, clock or clock_at(), said.append
        )

    return make


def names(provisioner: Provisioner) -> set[str]:
    folder = provisioner.store.directory
    return {path.name for path in folder.iterdir() if path.is_file()} if folder.exists() else set()


def leaf(provisioner: Provisioner) -> x509.Certificate:
    return certificates_in(provisioner.store.read(CHAIN) or b"", CHAIN)[0]


def key(provisioner: Provisioner) -> PrivateKey:
    reference = provisioner.store.key_reference()
    assert reference is not None
    return key_home_for(provisioner._config, provisioner._profile).load(reference.content)


def state(provisioner: Provisioner) -> dict[str, bytes]:
    return {name: (provisioner.store.directory / name).read_bytes() for name in names(provisioner)}


# ---- with a server ----


@pytest.mark.parametrize("kind", ["P-521", "Ed448"])
def test_one_call_leads_from_nothing_to_files_that_the_daemon_can_serve_with(
    make: Make, server: FakeServer, bundle: Bundle, said: list[str], kind: str
) -> None:
    provisioner = make(server, key=kind)
    assert provisioner.provision(bundle)
    folder = provisioner.store.directory
    assert names(provisioner) == {KEY, CHAIN, TRUST, ROOTS, ".lock"}
    assert leaf(provisioner).public_key() == key(provisioner).public_key()
    server_context(TlsProfile.STRICT, folder / CHAIN, folder / KEY, (folder / TRUST,))
    ((csr, current),) = server.asked
    assert current is None
    assert ExtendedKeyUsageOID.CLIENT_AUTH in csr.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert said[0] == f"made a {kind} key for file {folder / KEY}"
    assert "installed DC=CPO,CN=US*V2G*E1 of DC=CPO,CN=Grid CPO CA, until 2027-04-15 (90 days)" in said[2]
    assert "vehicles are trusted by the same bundle" in said[3]


def test_other_roots_for_vehicles_are_installed_with_it(
    make: Make, server: FakeServer, bundle: Bundle, tmp_path: Path, said: list[str]
) -> None:
    oem = TestAuthority("OEM Root", NOW)
    path = tmp_path / "oem.pem"
    path.write_bytes(pem(oem.certificate))
    provisioner = make(server)
    provisioner.provision(bundle, read_bundle(path, NOW))
    assert provisioner.store.read(TRUST) == pem(oem.certificate)
    assert provisioner.store.read(ROOTS) == bundle.pem()
    assert not any("same bundle" in line for line in said)


def test_a_second_call_is_refused_unless_it_is_meant(make: Make, server: FakeServer, bundle: Bundle) -> None:
    provisioner = make(server)
    provisioner.provision(bundle)
    before = state(provisioner)
    with pytest.raises(PkiError, match=r"there is a certificate already, .*renew.*--force"):
        provisioner.provision(bundle)
    assert state(provisioner) == before
    assert provisioner.provision(bundle, force=True)
    assert state(provisioner)[KEY] != before[KEY]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"days": 1e-9}, "expired on"),
        ({"purpose": [ExtendedKeyUsageOID.CLIENT_AUTH]}, "extended key usage"),
    ],
)
def test_what_the_server_signs_wrongly_is_refused_and_nothing_is_left(
    make: Make, utility: Utility, bundle: Bundle, options: dict[str, Any], words: str
) -> None:
    provisioner = make(FakeServer(utility, **options))
    with pytest.raises(PkiError, match=words):
        provisioner.provision(bundle)
    assert names(provisioner) == {".lock"}


def test_a_server_of_another_root_is_refused(make: Make, bundle: Bundle) -> None:
    provisioner = make(FakeServer(Utility()))
    with pytest.raises(PkiError, match="the chain cannot be used"):
        provisioner.provision(bundle)
    assert names(provisioner) == {".lock"}


def test_a_server_that_fails_leaves_what_was_in_force(make: Make, server: FakeServer, bundle: Bundle) -> None:
    provisioner = make(server)
    provisioner.provision(bundle)
    before = state(provisioner)
    server.error = PkiError("the server answered 500")
    for call in (lambda: provisioner.provision(bundle, force=True), provisioner.renew):
        with pytest.raises(PkiError, match="500"):
            call()
        assert state(provisioner) == before


def test_a_server_that_wants_time_gets_the_same_request_again(
    make: Make, server: FakeServer, bundle: Bundle, said: list[str]
) -> None:
    provisioner = make(server)
    server.error = EnrolmentPending("ask again in an hour", 3600.0)
    with pytest.raises(EnrolmentPending):
        provisioner.provision(bundle)
    assert names(provisioner) == WAITING
    server.error = PkiError("down")
    with pytest.raises(PkiError, match="down"):
        provisioner.provision(bundle)
    assert names(provisioner) == WAITING
    server.error = None
    assert provisioner.provision(bundle)
    first, second, third = (csr.public_key() for csr, _ in server.asked)
    assert first == second == third == key(provisioner).public_key()
    assert names(provisioner) == {KEY, CHAIN, TRUST, ROOTS, ".lock"}


def test_a_revoked_certificate_is_not_installed(
    tmp_path: Path, server: FakeServer, bundle: Bundle, said: list[str]
) -> None:
    config = make_config(tmp_path, enrolment=EST)
    keys = key_home_for(config, TlsProfile.STRICT)
    provisioner = Provisioner(
        config, TlsProfile.STRICT, keys, lambda ca: server, clock_at(), said.append, lambda one, issuer: True
    )
    with pytest.raises(PkiError, match="is revoked"):
        provisioner.provision(bundle)
    assert names(provisioner) == {".lock"}


def test_compat_has_files_and_a_key_of_its_own(make: Make, tmp_path: Path) -> None:
    weak = Utility()
    weak.root = TestAuthority("Old Root", NOW)
    weak.cpo = TestAuthority("Old CPO", NOW, issuer=weak.root, domain="CPO")
    provisioner = make(FakeServer(weak), TlsProfile.COMPAT)
    provisioner.provision(weak.bundle(tmp_path))
    assert provisioner.store.directory == tmp_path / "ssl" / "compat"
    found = key(provisioner)
    assert isinstance(found, ec.EllipticCurvePrivateKey)
    assert found.curve.name == "secp256r1"


def test_files_in_other_places_are_not_mistaken_for_ours(make: Make, server: FakeServer, bundle: Bundle) -> None:
    provisioner = make(server, strict_chain="/somewhere/chain.pem")
    for call in (lambda: provisioner.provision(bundle), provisioner.renew):
        with pytest.raises(PkiError, match=r"pki\.strict_chain names other files .*unset"):
            call()
    assert provisioner.renew(if_due=True) is False
    assert server.asked == []


# ---- by hand ----


def test_without_a_server_a_request_waits_and_its_chain_is_installed(
    make: Make, utility: Utility, bundle: Bundle, said: list[str]
) -> None:
    provisioner = make(None)
    assert not provisioner.provision(bundle)
    assert names(provisioner) == WAITING
    folder = provisioner.store.directory
    assert said[-1].endswith("v2g-cert-manager install CHAIN.pem")
    csr = x509.load_pem_x509_csr((folder / "request.csr").read_bytes())
    assert not provisioner.provision(bundle)
    assert "a request waits already" in said[-2]
    assert x509.load_pem_x509_csr((folder / "request.csr").read_bytes()) == csr
    chain = utility.chain_for(csr)
    provisioner.install(chain)
    assert names(provisioner) == {KEY, CHAIN, TRUST, ROOTS, ".lock"}
    assert provisioner.store.read(ROOTS) == bundle.pem()
    assert leaf(provisioner) == chain[0]


def test_a_new_request_instead_of_one_that_waits_has_to_be_meant(make: Make, bundle: Bundle, utility: Utility) -> None:
    provisioner = make(None)
    provisioner.provision(bundle)
    request = provisioner.store.directory / "request.csr"
    first = x509.load_pem_x509_csr(request.read_bytes())
    provisioner.provision(bundle, force=True)
    assert x509.load_pem_x509_csr(request.read_bytes()).public_key() != first.public_key()
    with pytest.raises(PkiError, match="no certificate of the chain has our key"):
        provisioner.install(utility.chain_for(first), bundle)
    assert names(provisioner) == WAITING


def test_the_same_key_may_get_another_chain(make: Make, server: FakeServer, bundle: Bundle, utility: Utility) -> None:
    provisioner = make(server)
    provisioner.provision(bundle)
    before = state(provisioner)
    again = utility.chain_for(server.asked[0][0], days=200.0)
    provisioner.install(again)
    assert leaf(provisioner) == again[0]
    assert state(provisioner)[KEY] == before[KEY]


def test_roots_and_trust_that_were_given_wait_with_the_request(
    make: Make, utility: Utility, bundle: Bundle, tmp_path: Path, server: FakeServer
) -> None:
    oem = tmp_path / "oem.pem"
    oem.write_bytes(pem(TestAuthority("OEM Root", NOW).certificate))
    provisioner = make(None)
    provisioner.provision(bundle, read_bundle(oem, NOW))
    assert names(provisioner) == {*WAITING, "pending.trust.pem"}
    csr = x509.load_pem_x509_csr((provisioner.store.directory / "request.csr").read_bytes())
    with pytest.raises(PkiError, match="the chain cannot be used"):
        provisioner.install([Utility().cpo.sign_request(csr)])
    # A server that is configured meanwhile signs the same request, with the same trust.
    assert make(server).provision(bundle)
    assert server.asked[0][0] == csr
    assert provisioner.store.read(TRUST) == oem.read_bytes()
    assert names(provisioner) == {KEY, CHAIN, TRUST, ROOTS, ".lock"}


def test_a_chain_for_nobody_is_refused(make: Make, utility: Utility, bundle: Bundle) -> None:
    with pytest.raises(PkiError, match="begin with v2g-cert-manager provision"):
        make(None).install([utility.cpo.certificate], bundle)


def test_a_request_only_is_written_though_a_server_is_configured(
    make: Make, server: FakeServer, bundle: Bundle
) -> None:
    provisioner = make(server)
    assert not provisioner.provision(bundle, request_only=True)
    assert server.asked == []
    assert names(provisioner) == WAITING


# ---- renewal ----


@pytest.fixture
def later(make: Make, server: FakeServer, utility: Utility, monkeypatch: pytest.MonkeyPatch) -> Make:
    """A provisioner so many days after the first certificate; the authority lives on, too."""

    def later(days: float, asked: FakeServer | None = server, **pki: Any) -> Provisioner:
        monkeypatch.setattr(utility.cpo, "at", NOW + days * DAY_S)
        return make(asked, clock=clock_at(days), **pki)

    return later


@pytest.mark.parametrize(("days", "due"), [(0.0, False), (53.0, False), (54.5, True), (89.0, True)])
def test_it_is_renewed_once_so_much_of_its_life_is_over(
    make: Make, server: FakeServer, bundle: Bundle, said: list[str], later: Make, days: float, due: bool
) -> None:
    make(server).provision(bundle)
    provisioner = later(days)
    before = state(provisioner)
    assert provisioner.renew(if_due=True) is due
    assert (state(provisioner)[KEY] != before[KEY]) is due
    assert (state(provisioner)[CHAIN] != before[CHAIN]) is due
    assert len(server.asked) == (2 if due else 1)
    if not due:
        assert said[-1].startswith("not due: DC=CPO,CN=US*V2G*E1 has used ")


def test_a_renewal_proves_itself_by_the_pair_in_force(
    make: Make, server: FakeServer, bundle: Bundle, later: Make
) -> None:
    make(server).provision(bundle)
    provisioner = later(60.0)
    shown: list[bytes] = []

    class Watching(FakeServer):
        def enrol(self, csr: Any, key: PrivateKey, current: Any) -> Any:
            shown.extend((current.chain.read_bytes(), current.key.read_bytes()))
            return super().enrol(csr, key, current)

    before = state(provisioner)
    assert later(60.0, Watching(server.utility)).renew()
    assert shown == [before[CHAIN], before[KEY]]


def test_one_that_has_expired_proves_nothing_and_is_asked_for_anew(
    make: Make, server: FakeServer, bundle: Bundle, said: list[str], later: Make
) -> None:
    make(server).provision(bundle)
    assert later(91.0).renew(if_due=True)
    assert server.asked[-1][1] is None
    assert any("has expired and proves nothing" in line for line in said)


def test_trust_of_vehicles_outlives_renewals(
    make: Make, server: FakeServer, bundle: Bundle, later: Make, tmp_path: Path
) -> None:
    oem = tmp_path / "oem.pem"
    oem.write_bytes(pem(TestAuthority("OEM Root", NOW).certificate))
    provisioner = make(server)
    provisioner.provision(bundle)
    provisioner.trust(read_bundle(oem, NOW))
    later(60.0).renew()
    assert provisioner.store.read(TRUST) == oem.read_bytes()


def test_an_authority_beside_the_roots_is_no_anchor_of_vehicles(
    make: Make, server: FakeServer, utility: Utility, tmp_path: Path
) -> None:
    provisioner = make(server)
    bundle = read_bundle(utility.write_bundle(tmp_path, utility.oem.certificate), NOW)
    provisioner.provision(bundle)
    assert provisioner.store.read(TRUST) == pem(utility.root.certificate)
    assert provisioner.store.read(ROOTS) == pem(utility.root.certificate, utility.oem.certificate)
    provisioner.trust(bundle)
    assert provisioner.store.read(TRUST) == pem(utility.root.certificate)


def test_trust_that_would_not_be_used_is_refused_before_anything_is_asked(
    make: Make, server: FakeServer, bundle: Bundle, tmp_path: Path
) -> None:
    provisioner = make(server, strict_trust=str(tmp_path / "mine.pem"))
    for refused in (partial(provisioner.provision, bundle, bundle), partial(provisioner.install, [], bundle, bundle)):
        with pytest.raises(PkiError, match=r"pki\.strict_trust names a file of yours"):
            refused()
    assert server.asked == []


def test_without_a_server_the_timer_writes_one_request_and_reminds_of_it(
    make: Make, server: FakeServer, bundle: Bundle, said: list[str], later: Make, utility: Utility
) -> None:
    make(server).provision(bundle)
    by_hand = later(60.0, None)
    assert not by_hand.renew(if_due=True)
    assert "wrote a request for the renewal" in said[-2]
    request = (by_hand.store.directory / "request.csr").read_bytes()
    assert not by_hand.renew(if_due=True)
    assert "waits already" in said[-2]
    assert (by_hand.store.directory / "request.csr").read_bytes() == request
    by_hand.install(utility.chain_for(x509.load_pem_x509_csr(request)))
    assert leaf(by_hand).public_key() == x509.load_pem_x509_csr(request).public_key()


def test_nothing_is_renewed_where_nothing_is(make: Make, server: FakeServer, said: list[str]) -> None:
    assert make(server).renew(if_due=True) is False
    assert "nothing to renew" in said[-1]
    with pytest.raises(PkiError, match="begin with v2g-cert-manager provision"):
        make(server).renew()


def test_the_key_before_is_forgotten_only_when_somebody_says_so(
    make: Make, server: FakeServer, bundle: Bundle, later: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(server).provision(bundle)
    provisioner = later(60.0)
    before = provisioner.store.key_reference()
    discarded: list[bytes] = []
    monkeypatch.setattr(provisioner._keys, "discard", discarded.append)
    provisioner.renew()
    assert discarded == []
    provisioner.forget_replaced()
    assert isinstance(before, KeyReference)
    assert discarded == [before.content]
    provisioner.forget_replaced()
    assert len(discarded) == 1


def test_an_open_key_keeps_from_renewing_with_the_chmod_to_run(
    make: Make, server: FakeServer, bundle: Bundle, later: Make
) -> None:
    make(server).provision(bundle)
    provisioner = later(60.0)
    (provisioner.store.directory / KEY).chmod(0o644)
    with pytest.raises(PkiError, match=r"chmod 600 .*/private\.key"):
        provisioner.renew()
