"""A client of Enrollment over Secure Transport, EST (RFC 7030, as RFC 8951 makes it clear).

The first certificate is asked for with HTTP basic authentication, renewals with the certificate in use over mutual
TLS. The TLS stack of Python reads keys from files only: a renewal with a key in a token proves itself by the password,
where one is configured, and is refused otherwise (CMP can use the token). So does, where there is a password, one whose
certificate is not for clients (extended key usage without clientAuth), since TLS servers refuse it.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import email.utils
import errno
import ssl
import warnings
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509.oid import ExtendedKeyUsageOID

from pyiso15118.security.private_file import PrivateFileError, check_private, read_private
from v2g import __version__
from v2g.clock import SleepingClock, SystemClock
from v2g.config.schema_pki import Enrolment
from v2g.host.bounded_http import Answer, ExchangeError, Question, UntrustedServer, exchange
from v2g.pki.enrolment_answer import MOST_CERTIFICATES, EnrolmentPending, issued_first, printable
from v2g.pki.model import Current, PkiError, PrivateKey

MAX_BODY = 256 * 1024
"""Bytes of an answer; a chain has some thousands."""
SHORTEST_WAIT_S = 1.0
"""A server that wants to be asked again at once is given this long."""
_LONGEST_WAIT_S = 30 * 86400.0


class EstEnroller:
    """The authority behind ``<url>/.well-known/est``. Implements :class:`v2g.pki.model.Enroller`."""

    def __init__(self, settings: Enrolment, server_ca: Path, clock: SleepingClock | None = None) -> None:
        """``server_ca``: PEM roots of the server's TLS certificate. Raises :class:`PkiError`."""
        self._settings = settings
        self._clock = clock or SystemClock()
        self._base = _base_url(settings)
        self._server = f"EST server {urlsplit(settings.url).netloc}"
        self._server_ca = server_ca
        self._secret = _read_password(settings)
        _context(server_ca)

    def enrol(
        self, csr: x509.CertificateSigningRequest, key: PrivateKey, current: Current | None
    ) -> Sequence[x509.Certificate]:
        """The leaf first. The server is seen to hold the request's key and subject to what was asked.

        Raises :class:`EnrolmentPending` where the server answers later than ``timeout_s``, else :class:`PkiError`.
        """
        operation = "simpleenroll" if current is None else "simplereenroll"
        context = _context(self._server_ca)
        certificate_shown = current is not None and self._show_certificate(context, current)
        question = Question(
            method="POST",
            url=f"{self._base}/{operation}",
            headers={
                "User-Agent": f"v2g-orchestrator/{__version__}",
                "Accept": "application/pkcs7-mime",
                "Content-Type": "application/pkcs10",
                "Content-Transfer-Encoding": "base64",
                **({} if certificate_shown else self._authorization()),
            },
            body=base64.encodebytes(csr.public_bytes(Encoding.DER)),
        )
        remedy = ""
        if certificate_shown and current is not None and not _is_for_clients(current.chain):
            remedy = (
                "; the certificate in use is not for clients (extended key usage without clientAuth), which TLS "
                "servers refuse: set pki.enrolment.user and password_file"
            )
        answer = self._ask_until_done(question, context, remedy)
        return issued_first(self._server, csr, self._certificates(answer, operation))

    # ---- who we are ----

    def _show_certificate(self, context: ssl.SSLContext, current: Current) -> bool:
        """Whether the certificate in use proves who we are; otherwise the password does."""
        if self._secret and not _is_for_clients(current.chain):
            return False
        if current.key_uri:
            if self._secret:
                return False
            raise PkiError(
                f"{self._server}: a renewal proves itself by the key in use, which is in a token, and TLS here takes "
                "keys from files only: set pki.enrolment.user and password_file, or use pki.enrolment.protocol cmp"
            )
        try:
            check_private(current.key)
            context.load_cert_chain(current.chain, current.key, password=_no_password)
        except PrivateFileError as error:
            raise PkiError(f"the renewal cannot prove itself: {error}") from None
        except (OSError, ssl.SSLError) as error:
            raise PkiError(
                f"the renewal cannot prove itself by {current.chain} and {current.key} ({_tls_words(error)}): install "
                "a chain and key that belong together, or provision anew"
            ) from None
        return True

    def _authorization(self) -> dict[str, str]:
        if not self._secret:
            return {}
        pair = f"{self._settings.user}:{self._secret}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}

    # ---- the exchange ----

    def _ask_until_done(self, question: Question, context: ssl.SSLContext, remedy: str) -> Answer:
        deadline_s = self._clock.monotonic_s() + self._settings.timeout_s
        while True:
            answer = self._exchange(question, context, deadline_s - self._clock.monotonic_s(), remedy)
            if answer.status == 200:
                return answer
            if answer.status != 202:
                raise self._refusal(answer, urlsplit(question.url).path.rsplit("/", 1)[-1])
            wait_s = self._retry_after_s(answer)
            ask_at_s = self._clock.monotonic_s() + wait_s
            if ask_at_s >= deadline_s:
                raise self._pending(wait_s)
            self._clock.sleep_until(ask_at_s)

    def _exchange(self, question: Question, context: ssl.SSLContext, timeout_s: float, remedy: str = "") -> Answer:
        try:
            return exchange(question, timeout_s=max(timeout_s, 0.05), max_body=MAX_BODY, context=context)
        except UntrustedServer as error:
            raise PkiError(
                f"{error}: if the server's root is not in {self._server_ca}, set pki.enrolment.server_ca; the name in "
                "pki.enrolment.url must be one of its certificate's"
            ) from None
        except ExchangeError as error:
            remedy = remedy or "; look at pki.enrolment (url, timeout_s), and at the server"
            raise PkiError(f"EST: {error}{remedy}") from None

    def _retry_after_s(self, answer: Answer) -> float:
        told = answer.headers.get("retry-after", "").strip()
        if told.isdecimal() and len(told) < 12:
            wait_s = float(told)
        else:
            try:
                when = email.utils.parsedate_to_datetime(told)
                when = when if when.tzinfo else when.replace(tzinfo=datetime.UTC)
                wait_s = when.timestamp() - self._clock.unix_s()
            except (ValueError, TypeError, OverflowError, IndexError):
                raise PkiError(
                    f"{self._server} took the request (status 202) and does not say when to ask again (Retry-After "
                    f"{printable(told, 40)!r}); the request is kept: try again later"
                ) from None
        return min(max(wait_s, SHORTEST_WAIT_S), _LONGEST_WAIT_S)

    def _pending(self, wait_s: float) -> EnrolmentPending:
        at = datetime.datetime.fromtimestamp(self._clock.unix_s() + wait_s, tz=datetime.UTC)
        return EnrolmentPending(
            f"{self._server} has not decided yet: the request is kept; give the command again in {wait_s:.0f} s, at "
            f"{at:%Y-%m-%d %H:%M:%S} UTC or later (or raise pki.enrolment.timeout_s)",
            wait_s,
        )

    # ---- the answer ----

    def _refusal(self, answer: Answer, operation: str) -> PkiError:
        status = answer.status
        said = self._words(answer)
        text = f"{self._server} refuses {operation} with status {status}{f' ({said})' if said else ''}"
        if 300 <= status < 400:
            target = printable(answer.headers.get("location", "")) or "no place"
            return PkiError(
                f"{self._server} redirects {operation} to {target} (status {status}): redirects are not followed, set "
                "pki.enrolment.url to the server that signs"
            )
        if status == 401 and "basic" not in answer.headers.get("www-authenticate", "basic").lower():
            scheme = printable(answer.headers["www-authenticate"], 40)
            return PkiError(f"{text}: it wants the authentication {scheme!r}, only Basic is spoken here")
        if status in (401, 403):
            remedy = (
                "check pki.enrolment.user and password_file"
                if operation == "simpleenroll"
                else "it does not accept the certificate in use: provision anew if that has expired or was revoked"
            )
            return PkiError(f"{text}: {remedy}")
        if status == 404:
            return PkiError(f"{text}: check pki.enrolment.url and label, {self._base} is not there")
        if status >= 500:
            return PkiError(f"{text}: a fault of the server, try again later or ask its operator")
        return PkiError(f"{text}: ask its operator")

    def _words(self, answer: Answer) -> str:
        """What the server says to people, without what it may only repeat of ours."""
        text = answer.body[:16_384].decode("utf-8", "replace")
        for ours in (self._secret, *self._authorization().values()):
            if ours:
                text = text.replace(ours.removeprefix("Basic "), "***")
        return printable(text)

    def _certificates(self, answer: Answer, operation: str) -> list[x509.Certificate]:
        told = answer.headers.get("content-type", "")
        if told.partition(";")[0].strip().lower() != "application/pkcs7-mime":
            said = self._words(answer) if told.lower().startswith(("text/", "application/json")) else ""
            raise PkiError(
                f"{self._server} answered {operation} with the content type {printable(told, 60)!r}, not "
                f"application/pkcs7-mime{f' ({said})' if said else ''}: check that pki.enrolment.url is an EST server"
            )
        try:
            # RFC 8951, 3.1: base64 with or without line ends, whatever Content-Transfer-Encoding says.
            der = base64.b64decode(b"".join(answer.body.split()), validate=True)
        except (binascii.Error, ValueError):
            raise PkiError(f"{self._server} answered {operation} with what is no base64: ask its operator") from None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = pkcs7.load_der_pkcs7_certificates(der)
        except Exception as error:
            raise PkiError(
                f"{self._server} answered {operation} with what is no PKCS#7 ({printable(str(error))}): "
                "ask its operator"
            ) from None
        if not found:
            raise PkiError(f"{self._server} answered {operation} without any certificate: ask its operator")
        if len(found) > MOST_CERTIFICATES:
            raise PkiError(f"{self._server} answered with {len(found)} certificates, at most {MOST_CERTIFICATES}")
        return found


def _base_url(settings: Enrolment) -> str:
    try:
        parts = urlsplit(settings.url)
        parts.port  # noqa: B018  raises what is no port
    except ValueError as error:
        raise PkiError(f"pki.enrolment.url is no URL: {error}") from None
    if parts.scheme != "https" or not parts.hostname:
        raise PkiError(f"pki.enrolment.url of {parts.hostname or 'the EST server'}: EST is spoken over https only")
    if parts.username is not None or parts.query or parts.fragment or parts.path.strip("/"):
        raise PkiError(
            f"pki.enrolment.url of {parts.hostname} must be the server alone, like https://ca.utility.example: "
            "/.well-known/est is added, and pki.enrolment.label says which authority; user and password have their own "
            "settings"
        )
    label = f"/{quote(settings.label, safe='')}" if settings.label else ""
    return f"https://{parts.netloc}/.well-known/est{label}"


def _read_password(settings: Enrolment) -> str:
    if not settings.user:
        return ""
    if not settings.password_file:
        raise PkiError("pki.enrolment.user needs password_file: a file of mode 0600 with the password alone")
    try:
        secret = read_private(Path(settings.password_file), "password file").decode().strip("\r\n")
    except PrivateFileError as error:
        raise PkiError(f"pki.enrolment: {error}") from None
    except UnicodeDecodeError:
        raise PkiError(f"pki.enrolment: password file {settings.password_file} is no UTF-8 text") from None
    if not secret:
        raise PkiError(f"pki.enrolment: password file {settings.password_file} is empty")
    if ":" in settings.user:
        raise PkiError("pki.enrolment.user must be without ':', which HTTP basic authentication cannot carry")
    return secret


def _context(server_ca: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(cafile=server_ca)
    except (OSError, ssl.SSLError) as error:
        raise PkiError(
            f"{server_ca} cannot be used to know the EST server by ({_tls_words(error)}): it must hold PEM "
            "certificates of authorities"
        ) from None
    return context


def _no_password() -> str:
    raise OSError(errno.EACCES, "it is encrypted, and renewals take keys that are not")


def _is_for_clients(chain: Path) -> bool:
    """As far as its extended key usage says, which need not be there."""
    try:
        leaf = x509.load_pem_x509_certificate(chain.read_bytes())
        purposes = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    except (OSError, ValueError) as error:
        raise PkiError(f"the renewal cannot prove itself: {chain} cannot be read ({printable(str(error))})") from None
    return not {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}.isdisjoint(purposes)


def _tls_words(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).replace("_", " ").lower()
    return error.strerror or str(error)
