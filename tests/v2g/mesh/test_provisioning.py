"""Key, request, certificate of a member: what is asked for, what is refused, what lies on the disk then."""

from __future__ import annotations

import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from support.mesh_pki import DAY_S, MeshPki, digest
from support.pki_site import make_config
from v2g.clock import ManualClock
from v2g.config.paths import mesh_paths
from v2g.config.schema import Config
from v2g.config.schema_mesh import Mesh
from v2g.mesh.identity import load_identity, load_trust
from v2g.mesh.provisioning import MeshProvisioner, owned_by
from v2g.pki.bundle import Bundle, read_bundle
from v2g.pki.model import PkiError
from v2g.pki.store import mesh_in_force

NOW = 1_800_000_000.0


def config(folder: Path, **mesh: Any) -> Config:
    section = {
        "network": "grid-7",
        "node": "tr-12",
        "groups": [{"id": "feeder"}],
        "members": [{"id": "tr-12", "group": "feeder", "rated_kw": 250}],
        **mesh,
    }
    return msgspec.structs.replace(make_config(folder), mesh=msgspec.convert(section, Mesh))


@dataclass
class Site:
    folder: Path
    config: Config
    pki: MeshPki
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = ManualClock(unix_s=NOW)
        self.work = MeshProvisioner(self.config, self.clock, self.said.append)
        self.dir = mesh_paths(self.config).dir

    def authority(self, pki: MeshPki | None = None) -> Bundle:
        return read_bundle((pki or self.pki).ca, NOW)

    def signed(self, csr: bytes, **options: Any) -> list[x509.Certificate]:
        return signed(self.pki, csr, **options)

    def files(self) -> dict[str, bytes]:
        """All but the lock."""
        return {each.name: each.read_bytes() for each in self.dir.iterdir() if each.name != ".lock" and each.is_file()}

    def in_force(self) -> str:
        """Common name, as the daemon would find it."""
        paths = mesh_in_force(mesh_paths(self.config))
        trust = load_trust(paths.ca, None)
        return load_identity(paths.chain, paths.key, trust, "tr-12", NOW).name


def signed(
    pki: MeshPki,
    csr_pem: bytes,
    *,
    name: str | None = None,
    purposes: tuple[x509.ObjectIdentifier, ...] | None = None,
    with_names: bool = True,
    days: float = 90.0,
) -> list[x509.Certificate]:
    """As an authority signs it that takes over what the request asks for; and who signed."""
    csr = x509.load_pem_x509_csr(csr_pem)
    assert csr.is_signature_valid
    subject = csr.subject if name is None else x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    key = csr.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(pki.certificate.subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(pki._moment(-DAY_S))
        .not_valid_after(pki._moment((days - 1.0) * DAY_S))
    )
    for extension in csr.extensions:
        value: x509.ExtensionType = extension.value
        if isinstance(value, x509.ExtendedKeyUsage) and purposes is not None:
            value = x509.ExtendedKeyUsage(purposes)
        if isinstance(value, x509.SubjectAlternativeName) and not with_names:
            continue
        builder = builder.add_extension(value, extension.critical)
    return [builder.sign(pki._key, digest(pki._key)), pki.certificate]


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Site]:
    def make(**mesh: Any) -> Site:
        return Site(tmp_path, config(tmp_path, **mesh), MeshPki(tmp_path / "ca", NOW))

    return make


@pytest.fixture
def site(make: Callable[..., Site]) -> Site:
    return make()


def names_in(csr: bytes) -> list[str]:
    value = x509.load_pem_x509_csr(csr).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(each.value) for each in value]


def test_a_request_asks_for_what_links_and_messages_need(site: Site) -> None:
    csr = x509.load_pem_x509_csr(site.work.request(["tr-12.example", "192.0.2.12"]))
    assert csr.is_signature_valid
    assert csr.subject.rfc4514_string() == "CN=tr-12"
    usage = csr.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(usage) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    assert csr.extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature
    assert not csr.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    key = csr.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert isinstance(key.curve, ec.SECP256R1)


def test_its_names_are_those_that_are_given_or_the_nodes_own(make: Callable[..., Site]) -> None:
    site = make(listen=["tls/[::]:7447", "tls/10.4.0.12:7447", "tls/127.0.0.1:7448"])
    assert names_in(site.work.request()) == ["tr-12", "10.4.0.12"]
    assert names_in(site.work.request(["a.example", "192.0.2.1", "a.example"])) == ["a.example", "192.0.2.1"]
    assert "neighbours may dial as a.example, 192.0.2.1" in site.said[-1]


def test_the_key_waits_and_is_private(site: Site) -> None:
    csr = site.work.request()
    assert set(site.files()) == {"request.csr", "pending.key"}
    assert site.files()["request.csr"] == csr
    assert stat.S_IMODE((site.dir / "pending.key").stat().st_mode) == 0o600


def test_a_key_that_waits_is_taken_again_unless_another_is_asked_for(site: Site) -> None:
    first = x509.load_pem_x509_csr(site.work.request(["a.example"]))
    again = x509.load_pem_x509_csr(site.work.request(["b.example"]))
    assert again.public_key() == first.public_key()
    assert "took the key that waits already" in "\n".join(site.said)
    assert x509.load_pem_x509_csr(site.work.request(force=True)).public_key() != first.public_key()


@pytest.mark.parametrize("address", ["", "a b", "tr-12.example:7447", "tls/x", "\n", "ä.example"])
def test_what_is_no_address_is_refused_and_nothing_waits_then(site: Site, address: str) -> None:
    with pytest.raises(PkiError, match="is no host name and no IP address"):
        site.work.request([address])
    assert site.files() == {}


def test_a_chain_for_the_request_is_put_in_force_with_its_key(site: Site) -> None:
    csr = site.work.request()
    key = site.files()["pending.key"]
    site.work.install(site.signed(csr), "chain.pem", site.authority())
    assert set(site.files()) == {"private.key", "chain.pem", "ca.pem"}
    assert site.files()["private.key"] == key
    assert stat.S_IMODE((site.dir / "private.key").stat().st_mode) == 0o600
    assert site.in_force() == "tr-12"
    assert "installed CN=tr-12 of CN=Mesh CA, until 2027-04-14 (89 days)" in site.said[-2]


def test_a_renewal_leaves_the_old_in_force_until_it_is_installed(site: Site) -> None:
    site.work.install(site.signed(site.work.request()), "chain.pem", site.authority())
    old = site.files()
    csr = site.work.request()
    assert {name: site.files()[name] for name in old} == old
    site.work.install(site.signed(csr), "chain.pem")
    assert site.files()["private.key"] != old["private.key"]
    assert site.files()["ca.pem"] == old["ca.pem"]
    assert site.in_force() == "tr-12"


def test_a_certificate_for_the_key_in_force_does_not_disturb_a_request_that_waits(site: Site) -> None:
    csr = site.work.request()
    site.work.install(site.signed(csr), "chain.pem", site.authority())
    site.work.request()
    waiting = site.files()["pending.key"]
    site.work.install(site.signed(csr, days=180.0), "chain.pem")
    assert "179 days" in site.said[-2]
    assert site.files()["pending.key"] == waiting
    assert site.in_force() == "tr-12"


def test_the_chain_is_written_leaf_first_with_its_intermediates_and_no_root(site: Site, tmp_path: Path) -> None:
    middle = MeshPki(tmp_path / "middle", NOW, name="Middle CA", parent=site.pki, path_length=0)
    leaf, _ = signed(middle, site.work.request())
    stranger = MeshPki(tmp_path / "stranger", NOW, name="Stranger").certificate
    site.work.install([site.pki.certificate, stranger, middle.certificate, leaf], "x.pem", site.authority(middle))
    assert x509.load_pem_x509_certificates(site.files()["chain.pem"]) == [leaf, middle.certificate]
    assert "2 of the certificates do not belong into its chain" in "\n".join(site.said)
    assert site.in_force() == "tr-12"


def test_a_certificate_without_addresses_is_installed_and_said_so(site: Site) -> None:
    site.work.install(site.signed(site.work.request(), with_names=False), "chain.pem", site.authority())
    assert "no neighbour can dial us" in site.said[-1]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"name": "tr-13"}, r"cannot be used as 'tr-12' \(mesh\.node\).* of CN=tr-13"),
        ({"days": 0.5}, "expired on"),
        ({"purposes": (ExtendedKeyUsageOID.SERVER_AUTH,)}, r"is not for clientAuth \(extended key usage\)"),
        ({"purposes": (ExtendedKeyUsageOID.CODE_SIGNING,)}, "is not for serverAuth and clientAuth"),
    ],
)
def test_what_no_member_would_take_is_refused_and_nothing_changes(
    site: Site, options: dict[str, Any], told: str
) -> None:
    csr = site.work.request()
    before = site.files()
    with pytest.raises(PkiError, match=told):
        site.work.install(site.signed(csr, **options), "chain.pem", site.authority())
    assert site.files() == before


def test_a_chain_of_another_authority_is_refused(site: Site, tmp_path: Path) -> None:
    csr = site.work.request()
    with pytest.raises(PkiError, match="is not of the mesh's authority"):
        site.work.install(site.signed(csr), "chain.pem", site.authority(MeshPki(tmp_path / "o", NOW, name="Other")))
    assert "pending.key" in site.files()


def test_a_chain_for_another_key_is_refused(site: Site) -> None:
    site.work.request()
    other = site.pki.node("tr-12")
    with pytest.raises(PkiError, match=r"no certificate in sent\.pem has the key of .*request\.csr"):
        site.work.install(x509.load_pem_x509_certificates(other.chain.read_bytes()), "sent.pem", site.authority())


def test_a_revoked_certificate_is_refused(site: Site) -> None:
    chain = site.signed(site.work.request())
    site.pki.certificates["tr-12"] = chain[0]
    crl_dir = site.pki.revoke("tr-12")
    (site.dir / "crl").mkdir()
    (site.dir / "crl" / "mesh.pem").write_bytes((crl_dir / "mesh.pem").read_bytes())
    with pytest.raises(PkiError, match="revoked"):
        site.work.install(chain, "chain.pem", site.authority())


def test_without_a_request_there_is_nothing_to_install_for(site: Site) -> None:
    chain = x509.load_pem_x509_certificates(site.pki.node("tr-12").chain.read_bytes())
    with pytest.raises(PkiError, match="begin with v2g-cert-manager mesh-request"):
        site.work.install(chain, "chain.pem", site.authority())


def test_without_an_authority_it_is_asked_for(site: Site) -> None:
    chain = site.signed(site.work.request())
    with pytest.raises(PkiError, match="--ca FILE"):
        site.work.install(chain, "chain.pem")


def test_a_node_that_brought_its_own_files_can_be_renewed(site: Site) -> None:
    site.dir.mkdir(parents=True)
    files = site.pki.node("tr-12", kind="Ed25519")
    for name, source in (("chain.pem", files.chain), ("private.key", files.key), ("ca.pem", files.ca)):
        (site.dir / name).touch(mode=0o600)
        (site.dir / name).write_bytes(source.read_bytes())
    site.work.install(site.signed(site.work.request()), "chain.pem")
    assert isinstance(load_pem_private_key(site.files()["private.key"], None), ec.EllipticCurvePrivateKey)
    assert site.in_force() == "tr-12"


def test_a_waiting_key_that_is_none_is_told_with_the_way_out(site: Site) -> None:
    site.work.request()
    (site.dir / "pending.key").write_bytes(b"nonsense")
    with pytest.raises(PkiError, match="mesh-request --force"):
        site.work.request()
    site.work.request(force=True)
    site.work.install(site.signed(site.files()["request.csr"]), "chain.pem", site.authority())
    assert site.in_force() == "tr-12"


def test_what_was_committed_is_in_force_though_the_process_died_then(site: Site) -> None:
    """The rename to ``next`` is the commit: killed behind it, the daemon still finds files that belong together."""
    site.work.install(site.signed(site.work.request()), "chain.pem", site.authority())
    chain = site.signed(site.work.request())
    key = site.files()["pending.key"]
    (site.dir / "next").mkdir()
    for name, content in (("chain.pem", chain[0].public_bytes(Encoding.PEM)), ("private.key", key)):
        (site.dir / "next" / name).touch(mode=0o600)
        (site.dir / "next" / name).write_bytes(content)
    assert site.in_force() == "tr-12"
    with site.work.store.locked():
        pass
    assert site.files()["private.key"] == key
    assert not (site.dir / "next").exists()
    assert site.in_force() == "tr-12"


def test_a_controller_without_a_mesh_has_nothing_to_ask_for(tmp_path: Path) -> None:
    with pytest.raises(PkiError, match="is in no mesh"):
        MeshProvisioner(make_config(tmp_path), ManualClock(), print)


def test_the_work_is_the_owners_of_the_directory_above(tmp_path: Path) -> None:
    assert owned_by(config(tmp_path)) == tmp_path / "ssl"
    assert owned_by(config(tmp_path, dir=str(tmp_path / "mine"))) == tmp_path / "mine"
