"""Our certificate in the mesh: a key with its request, and the chain that an authority made of it. By files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from pyiso15118.security.chain import extension_of, name_of
from v2g.clock import Clock
from v2g.config.addresses import is_this_host
from v2g.config.paths import mesh_paths
from v2g.config.schema import Config
from v2g.config.schema_mesh import Mesh
from v2g.mesh.identity import IdentityError, identity_of, trust_of
from v2g.pki import store as files
from v2g.pki.bundle import Bundle, is_authority, is_self_signed, parse_bundle, to_pem
from v2g.pki.model import KeyReference, PkiError
from v2g.pki.request import build_mesh_request, request_pem
from v2g.pki.store import Pending, Store

Say = Callable[[str], None]
_DAY_S = 86_400.0
_LINKS = {ExtendedKeyUsageOID.SERVER_AUTH: "serverAuth", ExtendedKeyUsageOID.CLIENT_AUTH: "clientAuth"}
_ANY = ("0.0.0.0", "::")  # noqa: S104


class MeshProvisioner:
    """The work in ``mesh.dir``. Every method may raise :class:`v2g.pki.model.PkiError`, and nothing is in force then
    that was not before. ``say`` is given what was done, a line at a time, for people.
    """

    def __init__(self, config: Config, clock: Clock, say: Say) -> None:
        self._mesh = _section(config)
        self._paths = mesh_paths(config)
        self._clock = clock
        self._say = say
        self.store = Store(self._paths.dir)

    def request(self, addresses: Sequence[str] = (), *, force: bool = False) -> bytes:
        """The request (PEM) for a certificate of ``mesh.node``, signed with a new key that waits for it.

        A key that waits already is taken again, unless ``force``. ``addresses``: host names and IPv4 addresses by which
        neighbours dial us; empty: the node's name, and the addresses of ``mesh.listen``.
        """
        named = tuple(dict.fromkeys(addresses or _own_addresses(self._mesh)))
        with self.store.locked():
            waiting = None if force else self.store.pending()
            if waiting is not None:
                key, content = self._waiting_key(waiting.key.content), waiting.key.content
            else:
                key = ec.generate_private_key(ec.SECP256R1())
                content = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            csr = request_pem(build_mesh_request(key, self._mesh.node, named))
            self.store.keep_pending(Pending(csr, KeyReference(files.KEY, content)))
        again = "took the key that waits already (--force makes a new one)"
        self._say(f"{'made a P-256 key' if waiting is None else again} in {self.store.directory}")
        self._say(f"request of CN={self._mesh.node}, which neighbours may dial as {', '.join(named)}")
        return csr

    def install(self, received: Sequence[x509.Certificate], chain: str, authority: Bundle | None = None) -> None:
        """Put a chain that was received in force, with the key that it is for: the one that waits, or the one in force.

        ``chain``: where it came from, for people. Without ``authority``, it must be of the one that is installed.
        """
        with self.store.locked():
            waiting, in_force = self.store.pending(), self.store.key_reference()
            candidates = [each for each in (waiting.key if waiting is not None else None, in_force) if each is not None]
            if not candidates:
                raise PkiError(
                    f"there is no key in {self.store.directory} that a certificate could be for: begin with "
                    "v2g-cert-manager mesh-request --output FILE"
                )
            # Of none: the check says so, by the key that is waited for.
            reference = next((each for each in candidates if _fits(each, received)), candidates[0])
            authority = authority or self._installed_authority()
            leaf = self._checked(received, chain, reference, reference is not in_force, authority)
            _check_links(leaf, chain)
            path = _path(leaf, received)
            new = {files.CHAIN: to_pem(path), files.MESH_CA: authority.pem()}
            if reference is not in_force:
                new[files.KEY] = reference.content
            self.store.install(new, lambda staging: None)
        self._say_installed(leaf, len(received) - len(path))

    def _checked(
        self,
        received: Sequence[x509.Certificate],
        chain: str,
        reference: KeyReference,
        waits: bool,
        authority: Bundle,
    ) -> x509.Certificate:
        key = self.store.directory / (files.REQUEST if waits else files.KEY)
        try:
            trust = trust_of(authority, self._paths.crl_dir)
            now_unix_s = self._clock.unix_s()
            found = identity_of(
                received, reference.content, trust, self._mesh.node, now_unix_s, chain=chain, key=str(key)
            )
        except IdentityError as error:
            raise PkiError(str(error)) from error
        return x509.load_der_x509_certificate(found.certificate_der)

    def _waiting_key(self, content: bytes) -> ec.EllipticCurvePrivateKey:
        key = _private(content)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise PkiError(
                f"the key that waits in {self.store.directory} cannot be used: make another one with v2g-cert-manager "
                "mesh-request --force --output FILE"
            )
        return key

    def _installed_authority(self) -> Bundle:
        path = self.store.path(files.MESH_CA)
        content = self.store.read(files.MESH_CA)
        if content is None:
            raise PkiError(f"{path} is not there: name the certificate of the mesh's authority: --ca FILE")
        return parse_bundle(content, str(path), self._clock.unix_s())

    def _say_installed(self, leaf: x509.Certificate, left_out: int) -> None:
        end = leaf.not_valid_after_utc
        days = (end.timestamp() - self._clock.unix_s()) / _DAY_S
        self._say(
            f"installed {name_of(leaf)} of {leaf.issuer.rfc4514_string()}, until {end:%Y-%m-%d} ({days:.0f} days), in "
            f"{self.store.directory}"
        )
        if left_out:
            self._say(f"{left_out} of the certificates do not belong into its chain and were left out")
        if extension_of(leaf, x509.SubjectAlternativeName) is None:
            self._say("it names no address (subject alternative name): no neighbour can dial us, we dial them")


def _section(config: Config) -> Mesh:
    if config.mesh is None:
        raise PkiError("this controller is in no mesh: write the section mesh into the configuration first")
    return config.mesh


def _own_addresses(mesh: Mesh) -> tuple[str, ...]:
    hosts = [each.removeprefix("tls/").rpartition(":")[0].strip("[]") for each in mesh.listen]
    return (mesh.node, *(host for host in hosts if host not in _ANY and not is_this_host(host)))


def _check_links(leaf: x509.Certificate, chain: str) -> None:
    """What links ask for beyond what messages do. Raises :class:`PkiError`."""
    purposes = extension_of(leaf, x509.ExtendedKeyUsage)
    lacking = [word for oid, word in _LINKS.items() if purposes is not None and oid not in purposes]
    if lacking:
        raise PkiError(
            f"{chain}: {name_of(leaf)} is not for {' and '.join(lacking)} (extended key usage), and both sides of a "
            "link show their certificates: have the request signed with its extensions"
        )


def _path(leaf: x509.Certificate, received: Sequence[x509.Certificate]) -> tuple[x509.Certificate, ...]:
    """From the leaf upwards, without its root."""
    path = [leaf]
    rest = [each for each in received if each != leaf and is_authority(each) and not is_self_signed(each)]
    while (above := next((each for each in rest if each.subject == path[-1].issuer), None)) is not None:
        path.append(above)
        rest.remove(above)
    return tuple(path)


def _fits(reference: KeyReference, received: Sequence[x509.Certificate]) -> bool:
    key = _private(reference.content)
    return key is not None and any(_key_of(certificate) == key.public_key() for certificate in received)


def _private(content: bytes) -> PrivateKeyTypes | None:
    try:
        return load_pem_private_key(content, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None


def _key_of(certificate: x509.Certificate) -> object:
    try:
        return certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None


def output_problem(head: bytes) -> bool:
    """Whether a file that begins so is something else than a request, and must not be written over."""
    return bool(head) and not head.startswith(b"-----BEGIN CERTIFICATE REQUEST-----")


def owned_by(config: Config) -> Path:
    """Whose owner does the work: ``mesh.dir``, or ``pki.dir`` where that is above it."""
    folder, above = mesh_paths(config).dir, Path(config.pki.dir)
    return above if folder.is_relative_to(above) else folder
