"""From nothing to a certificate in force, and from one to the next: key, request, enrolment, checks, installation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448

from pyiso15118.security import IsRevoked, TlsError, TlsProfile, ValidatedChain, stdlib_server_context
from v2g.clock import Clock
from v2g.config.schema import Config
from v2g.config.schema_pki import EnrolmentProtocol
from v2g.control.messages_pki import CertificateLine
from v2g.pki import store as files
from v2g.pki.bundle import Bundle, certificates_in, parse_bundle, to_pem
from v2g.pki.chain_check import check_own_chain, check_pair
from v2g.pki.enrolment_answer import EnrolmentPending
from v2g.pki.facts import DAY_S, OWN, certificate_line, is_due
from v2g.pki.key_home import directory_of
from v2g.pki.model import Current, Enroller, KeyHome, KeyReference, PkiError, PrivateKey
from v2g.pki.request import SubjectNames, build_request, request_pem
from v2g.pki.store import Pending, Store

Say = Callable[[str], None]
EnrollerFor = Callable[[Path], Enroller | None]
"""The server to ask, with the roots of its TLS certificate; None: people carry request and chain."""


@dataclass(frozen=True, slots=True)
class _Asked:
    key: PrivateKey
    reference: KeyReference
    csr: x509.CertificateSigningRequest


class Provisioner:
    """The work on one profile's certificate. Every method may raise :class:`PkiError`, and nothing is in force then
    that was not before. ``say`` is given what was done, a line at a time, for people.
    """

    def __init__(
        self,
        config: Config,
        profile: TlsProfile,
        keys: KeyHome,
        enroller_for: EnrollerFor,
        clock: Clock,
        say: Say,
        is_revoked: IsRevoked | None = None,
    ) -> None:
        self._config = config
        self._profile = self.profile = profile
        self._keys = keys
        self._enroller_for = enroller_for
        self._clock = clock
        self._say = say
        self._is_revoked = is_revoked
        self.store = Store(directory_of(config, profile))
        self._replaced: list[KeyReference] = []
        in_token = profile is TlsProfile.STRICT and config.pki.token is not None
        self._file_name = files.KEY_URI if in_token else files.KEY
        """Of what stands for a key of this home; the other kind's was made under another configuration."""

    def provision(
        self, bundle: Bundle, trust: Bundle | None = None, *, force: bool = False, request_only: bool = False
    ) -> bool:
        """A first certificate, or with ``force`` another key instead of the one in force.

        Returns whether a certificate was installed; otherwise a request waits for one.
        """
        self._refuse_other_places()
        self._refuse_other_trust(trust)
        with self.store.locked():
            if not force and (line := self._leaf()) is not None:
                raise PkiError(
                    f"there is a certificate already, {line.subject} until {_day(line.not_after_unix_s)}: renew it "
                    "with v2g-cert-manager renew, or replace it and its key with provision --force"
                )
            enroller = None if request_only else self._enroller_for(Path(bundle.path))
            waiting = None if force else self._waiting()
            if waiting is not None and enroller is None:
                self._say_waiting("a request waits already, its key with it (--force makes new ones)")
                return False
            asked = self._ask_for(waiting)
            if trust is None and waiting is not None and waiting.trust is not None:
                trust = self._parsed(waiting.trust, files.TRUST)
            if enroller is None:
                self._keep(asked, bundle, trust)
                self._say_waiting("wrote the request")
                return False
            return self._enrol(enroller, asked, None, bundle, trust)

    def install(
        self, received: Sequence[x509.Certificate], bundle: Bundle | None = None, trust: Bundle | None = None
    ) -> None:
        """A chain that an authority sent: for the request that waits, or for the key in force.

        Without ``bundle``, it must end in a root that was given with the request, or before.
        """
        self._refuse_other_places()
        self._refuse_other_trust(trust)
        with self.store.locked():
            waiting, in_force = self._waiting(), self.store.key_reference()
            candidates = (waiting.key if waiting is not None else None, in_force)
            references = [each for each in candidates if each is not None and each.file_name == self._file_name]
            if not references:
                raise PkiError(
                    f"there is no key in {self.store.directory} that a certificate could be for: begin with "
                    "v2g-cert-manager provision --ca-bundle FILE"
                )
            found = None
            for reference in references:
                key = self._keys.load(reference.content)
                if any(_is_of(certificate, key) for certificate in received):
                    found = key, reference
                    break
            # Of none: the check says so, by the key that is waited for.
            key, reference = found or (self._keys.load(references[0].content), references[0])
            if waiting is not None and reference == waiting.key:
                if bundle is None and waiting.roots is not None:
                    bundle = self._parsed(waiting.roots, files.ROOTS)
                if trust is None and waiting.trust is not None:
                    trust = self._parsed(waiting.trust, files.TRUST)
            self._put_in_force(received, key, reference, bundle or self._installed_roots(), trust)

    def renew(self, bundle: Bundle | None = None, *, if_due: bool = False) -> bool:
        """A new key and certificate before the old one ends; which stays in force until the new one is.

        ``if_due``: only from ``pki.renew_at`` of its life on. Returns whether a certificate was installed.
        """
        if if_due and (places := self._other_places()):
            self._say(f"not renewed here: {places[0]} names files that others make")
            return False
        self._refuse_other_places()
        if if_due and not files.is_file(self.store.path(files.CHAIN)):
            self._say(f"there is no certificate in {self.store.directory}: nothing to renew")
            return False
        with self.store.locked():
            line = self._leaf()
            reference = self.store.key_reference()
            if line is None or reference is None:
                raise PkiError(
                    f"there is no certificate with its key in {self.store.directory}: begin with v2g-cert-manager "
                    "provision --ca-bundle FILE"
                )
            if if_due and not is_due(line, self._config.pki.renew_at):
                self._say(
                    f"not due: {line.subject} has used {line.life_used:.0%} of its life, {line.days_left:.0f} days are "
                    f"left; renewed from {self._config.pki.renew_at:.0%} on"
                )
                return False
            waiting = self._waiting()
            if bundle is None and waiting is not None and waiting.roots is not None:
                roots = self._parsed(waiting.roots, files.ROOTS)
            else:
                roots = bundle or self._installed_roots()
            enroller = self._enroller_for(Path(bundle.path) if bundle is not None else self.store.path(files.ROOTS))
            if enroller is None and waiting is not None:
                self._say_waiting("a request for the renewal waits already")
                return False
            asked = self._ask_for(waiting)
            if enroller is None:
                self._keep(asked, bundle, None)
                self._say_waiting("wrote a request for the renewal")
                return False
            current = None
            if line.days_left > 0.0:
                current = Current(
                    chain=self.store.path(files.CHAIN),
                    key=self.store.path(reference.file_name),
                    key_uri=reference.content.decode().strip() if reference.file_name == files.KEY_URI else "",
                )
            else:
                self._say(f"{line.subject} has expired and proves nothing any more: asked for as if for the first time")
            return self._enrol(enroller, asked, current, roots, None)

    def trust(self, anchors: Bundle) -> None:
        """Roots that vehicles' chains may end in, instead of those before."""
        self._refuse_other_trust(anchors)
        with self.store.locked():
            self.store.install({files.TRUST: anchors.roots_pem()}, lambda staging: None)
        self._say(f"{len(anchors.roots)} trust anchors of vehicles in {self.store.path(files.TRUST)}")

    def fingerprint(self) -> str:
        """SHA-256 of the installed certificate; empty where there is none, or the daemon serves with other files."""
        line = None if self._other_places() else self._leaf()
        return line.fingerprint if line is not None else ""

    def forget_replaced(self) -> None:
        """Remove keys that are in force no longer from their home: once the daemon serves with the new one."""
        for reference in self._replaced:
            try:
                if reference.file_name == self._file_name:
                    self._keys.discard(reference.content)
                elif reference.file_name == files.KEY_URI:
                    self._say(f"{reference.content.decode().strip()} is not used any more: remove it from its token")
            except PkiError as error:
                self._say(f"a key that is not used any more could not be removed: {error}")
        self._replaced.clear()

    # ---- steps ----

    def _ask_for(self, waiting: Pending | None) -> _Asked:
        if waiting is not None:
            try:
                csr = x509.load_pem_x509_csr(waiting.csr)
            except ValueError as error:
                raise PkiError(
                    f"{self.store.directory / files.REQUEST} cannot be read ({error}): make a new one with "
                    "v2g-cert-manager provision --force"
                ) from error
            self._say(f"asking again with the request that waits in {self.store.directory / files.REQUEST}")
            return _Asked(self._keys.load(waiting.key.content), waiting.key, csr)
        key, reference = self._keys.generate()
        self._say(f"made a {_kind(key)} key for {self._keys.description}")
        try:
            settings = self._config.pki.enrolment
            by_tls = settings is not None and settings.protocol is EnrolmentProtocol.EST
            csr = build_request(key, SubjectNames.of(self._config), client_too=by_tls)
            return _Asked(key, reference, csr)
        except BaseException:
            self._keys.discard(reference.content)
            raise

    def _enrol(
        self, enroller: Enroller, asked: _Asked, current: Current | None, bundle: Bundle, trust: Bundle | None
    ) -> bool:
        settings = self._config.pki.enrolment
        if settings is not None:
            self._say(f"asking {settings.url} ({settings.protocol.value.upper()}) for {_subject(asked.csr)}")
        try:
            received = enroller.enrol(asked.csr, asked.key, current)
            self._put_in_force(received, asked.key, asked.reference, bundle, trust)
        except EnrolmentPending:
            self._keep(asked, bundle, trust)
            raise
        except BaseException:
            waiting = self.store.pending()
            if waiting is None or waiting.key != asked.reference:
                self._keys.discard(asked.reference.content)
            raise
        return True

    def _put_in_force(
        self,
        received: Sequence[x509.Certificate],
        key: PrivateKey,
        reference: KeyReference,
        bundle: Bundle,
        trust: Bundle | None,
    ) -> None:
        chain = check_own_chain(
            received,
            key.public_key(),
            bundle,
            profile=self._profile,
            at_unix_s=self._clock.unix_s(),
            is_revoked=self._is_revoked,
        )
        check_pair(key, chain.leaf)
        new = {
            reference.file_name: reference.content,
            files.CHAIN: to_pem((chain.leaf, *chain.sub_certificates)),
            files.ROOTS: bundle.pem(),
        }
        anchors = trust
        if anchors is None and self.store.read(files.TRUST) is None:
            anchors = bundle
        if anchors is not None and not self._elsewhere("trust"):
            # Of an authority among the anchors itself, revocation would not be asked.
            new[files.TRUST] = anchors.roots_pem()
        before, waiting = self.store.key_reference(), self.store.pending()
        self.store.install(new, lambda staging: self._loadable(staging, reference))
        others = (before, waiting.key if waiting is not None else None)
        self._replaced += [other for other in others if other is not None and other != reference]
        self._say_installed(chain)
        if anchors is bundle and files.TRUST in new:
            self._say(
                f"vehicles are trusted by the same bundle from now on ({files.TRUST} was missing): "
                "v2g-cert-manager anchors FILE sets other roots"
            )

    def _loadable(self, staging: Path, reference: KeyReference) -> None:
        """As OpenSSL will load it. What stands for a key in a token was tried by a signature."""
        if reference.file_name != files.KEY:
            return
        trust = staging / files.TRUST
        if not trust.exists():
            trust = Path(self._elsewhere("trust") or self.store.path(files.TRUST))
        try:
            stdlib_server_context(self._profile, staging / files.CHAIN, staging / files.KEY, (trust,))
        except TlsError as error:
            raise PkiError(f"what was received cannot be served: {error}") from error

    def _waiting(self) -> Pending | None:
        waiting = self.store.pending()
        return waiting if waiting is not None and waiting.key.file_name == self._file_name else None

    def _keep(self, asked: _Asked, bundle: Bundle | None, trust: Bundle | None) -> None:
        before = self._waiting()
        roots, anchors = (each.pem() if each is not None else None for each in (bundle, trust))
        self.store.keep_pending(Pending(request_pem(asked.csr), asked.reference, roots, anchors))
        if before is not None and before.key != asked.reference:
            self._keys.discard(before.key.content)

    def _installed_roots(self) -> Bundle:
        content = self.store.read(files.ROOTS)
        path = self.store.path(files.ROOTS)
        if content is None:
            raise PkiError(f"there is no {path}: say which roots the chain must end in: --ca-bundle FILE")
        return parse_bundle(content, str(path), self._clock.unix_s())

    def _parsed(self, content: bytes, name: str) -> Bundle:
        """What was kept with a request that waits."""
        return parse_bundle(content, f"{self.store.directory}: {name} of the request", self._clock.unix_s())

    def _leaf(self) -> CertificateLine | None:
        content = self.store.read(files.CHAIN)
        if content is None:
            return None
        path = str(self.store.path(files.CHAIN))
        return certificate_line(certificates_in(content, path)[0], OWN, path, self._clock.unix_s())

    # ---- configuration ----

    def _elsewhere(self, what: str) -> str:
        return str(getattr(self._config.pki, f"{self._profile}_{what}"))

    def _other_places(self) -> list[str]:
        return [f"pki.{self._profile}_{what}" for what in ("chain", "key") if self._elsewhere(what)]

    def _refuse_other_places(self) -> None:
        if places := self._other_places():
            raise PkiError(
                f"{' and '.join(places)} name{'s' if len(places) == 1 else ''} other files than those of "
                f"{self.store.directory}: the daemon would not use what is installed here; unset {places[0]} first"
            )

    def _refuse_other_trust(self, given: Bundle | None) -> None:
        if given is not None and self._elsewhere("trust"):
            raise PkiError(f"pki.{self._profile}_trust names a file of yours: change that one")

    # ---- words ----

    def _say_waiting(self, what: str) -> None:
        request = self.store.directory / files.REQUEST
        self._say(f"{what}: {request}")
        option = "" if self._profile is TlsProfile.STRICT else f" --profile {self._profile}"
        self._say(f"have it signed for a SECC of ISO 15118-20, then: v2g-cert-manager install{option} CHAIN.pem")

    def _say_installed(self, chain: ValidatedChain) -> None:
        end = chain.leaf.not_valid_after_utc.timestamp()
        days = (end - self._clock.unix_s()) / DAY_S
        self._say(
            f"installed {chain.leaf.subject.rfc4514_string()} of {chain.leaf.issuer.rfc4514_string()}, "
            f"until {_day(end)} ({days:.0f} days), in {self.store.directory}"
        )
        for line in _odd_ends(chain):
            self._say(line)


def _odd_ends(chain: ValidatedChain) -> list[str]:
    end = chain.leaf.not_valid_after_utc
    return [
        f"{above.subject.rfc4514_string()} expires before the certificate does, on {above.not_valid_after_utc:%Y-%m-%d}"
        for above in (*chain.sub_certificates, chain.anchor)
        if above.not_valid_after_utc < end
    ]


def _is_of(certificate: x509.Certificate, key: PrivateKey) -> bool:
    try:
        return certificate.public_key() == key.public_key()
    except Exception:  # what a certificate's key cannot be read by is the library's matter
        return False


def _kind(key: PrivateKey) -> str:
    if isinstance(key, ed448.Ed448PrivateKey):
        return "Ed448"
    return "P-521" if isinstance(key.curve, ec.SECP521R1) else "P-256"


def _subject(csr: x509.CertificateSigningRequest) -> str:
    return csr.subject.rfc4514_string()


def _day(unix_s: float) -> str:
    return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%d}"
