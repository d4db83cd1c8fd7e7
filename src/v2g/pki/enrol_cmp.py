"""A client of the Certificate Management Protocol, CMP (RFC 4210, over HTTP by RFC 6712): the program ``openssl cmp``.

A PKCS#10 request (p10cr) is sent: the new key signs it and need not be in a file. The first message is protected with
the shared secret (``user`` is its reference), a renewal's with the certificate and key in use, from a file or a token.
Where the shared secret is the only means, as with Ed448 keys, which OpenSSL 3.0 cannot protect messages with, it also
protects renewals. No secret is ever an argument: ``openssl`` reads files. A server's answer is believed when the same
secret or a certificate of ``server_ca`` protects it; certificates that it calls authorities (caPubs) are handed on like
others, and none is trusted for that.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed448
from cryptography.hazmat.primitives.serialization import Encoding

from pyiso15118.security.private_file import PrivateFileError, check_private
from v2g.config.schema_pki import Enrolment, Token
from v2g.pki.enrolment_answer import EnrolmentPending, issued_first, printable
from v2g.pki.model import Current, PkiError, PrivateKey
from v2g.pki.pin import Pin, pin_source

OLDEST = (3, 0)
"""``openssl cmp`` came with OpenSSL 3.0."""
MAX_OUTPUT = 64 * 1024
MAX_ANSWER = 256 * 1024
"""Bytes of a file that ``openssl`` writes for us."""
GRACE_S = 2.0
"""It ends by itself at ``timeout_s``, except where octets trickle; so much later it is killed."""
_VERSION_S = 10.0
_LATER_S = 60.0


class CmpEnroller:
    """The authority behind a CMP URL. Implements :class:`v2g.pki.model.Enroller`."""

    def __init__(self, settings: Enrolment, server_ca: Path, token: Token | None = None) -> None:
        """``server_ca``: PEM roots of the server's TLS certificate and of its signatures.

        ``token``: where a key in use may be. Raises :class:`PkiError`, also without ``openssl`` 3.0 or newer.
        """
        self._settings = settings
        self._server_ca = server_ca
        self._token = token
        self._secure = _check_url(settings.url)
        self._server = f"CMP server {urlsplit(settings.url).netloc}"
        self._openssl = find_openssl()
        _check_secret(settings)
        _check_roots(server_ca)

    def enrol(
        self, csr: x509.CertificateSigningRequest, key: PrivateKey, current: Current | None
    ) -> Sequence[x509.Certificate]:
        """The leaf first. Raises :class:`EnrolmentPending` where the server wants more time, else :class:`PkiError`."""
        with tempfile.TemporaryDirectory(prefix="v2g-cmp-") as name:
            folder = Path(name)
            request = folder / "request.pem"
            request.write_bytes(csr.public_bytes(Encoding.PEM))
            results = [folder / each for each in ("issued.pem", "extra.pem", "capubs.pem")]
            with self._protection(current) as (protection, environment, descriptors):
                command = [*self._command(request, results), *protection]
                ended = _run(command, environment, self._settings.timeout_s + GRACE_S, descriptors)
            if ended.code != 0 or not results[0].exists():
                raise self._refusal(ended, current)
            answer = [certificate for path in results for certificate in self._read(path)]
        return issued_first(self._server, csr, answer)

    def _command(self, request: Path, results: Sequence[Path]) -> list[str]:
        issued, extra, capubs = (str(path) for path in results)
        roots = str(self._server_ca)
        # Integers: openssl takes no others, and 0 would be for ever.
        whole_s = str(max(1, round(self._settings.timeout_s)))
        return [
            *(self._openssl, "cmp", "-config", "", "-batch", "-cmd", "p10cr", "-csr", str(request)),
            *("-server", self._settings.url, "-total_timeout", whole_s, "-msg_timeout", whole_s),
            *("-certout", issued, "-extracertsout", extra, "-cacertsout", capubs),
            *("-trusted", roots, "-digest", "sha512", "-mac", "hmacWithSHA256"),
            *(("-tls_used", "-tls_trusted", roots) if self._secure else ()),
            # With roots of its own for the server, what our certificate must lead to is for the installer to check.
            *(() if self._settings.server_ca else ("-out_trusted", roots)),
        ]

    @contextmanager
    def _protection(self, current: Current | None) -> Iterator[tuple[list[str], Mapping[str, str], Sequence[int]]]:
        """Arguments by which our messages are protected, the environment and the descriptors that they need."""
        environment = _environment()
        if current is None or (self._settings.user and _is_ed448(current.chain)):
            if not self._settings.user:
                raise PkiError(
                    f"{self._server}: the first certificate is asked for with a shared secret: set "
                    "pki.enrolment.user to its reference and password_file to the file of mode 0600 that holds it"
                )
            yield ["-ref", self._settings.user, "-secret", f"file:{self._settings.password_file}"], environment, ()
            return
        signed = ["-cert", str(current.chain)]
        if not current.key_uri:
            try:
                check_private(current.key)
            except PrivateFileError as error:
                raise PkiError(f"the renewal cannot prove itself: {error}") from None
            # Without a source of its password an encrypted key would be asked for at a terminal.
            yield [*signed, "-key", str(current.key), "-keypass", f"file:{os.devnull}"], environment, ()
            return
        if self._token is None:
            raise PkiError("the key in use is in a token, and pki.token does not say which: configure it")
        environment["PKCS11_MODULE_PATH"] = self._token.module
        with _in_memory(pin_source(self._token.pin_file).read()) as descriptor:
            uri = with_pin_source(current.key_uri, f"/proc/self/fd/{descriptor}")
            yield [*signed, "-engine", "pkcs11", "-keyform", "ENGINE", "-key", uri], environment, (descriptor,)

    def _read(self, path: Path) -> list[x509.Certificate]:
        """What ``openssl`` wrote, nothing where it wrote nothing."""
        try:
            with path.open("rb") as file:
                data = file.read(MAX_ANSWER + 1)
        except FileNotFoundError:
            return []
        if len(data) > MAX_ANSWER:
            raise PkiError(f"{self._server} answered with more than {MAX_ANSWER} bytes of certificates")
        try:
            return x509.load_pem_x509_certificates(data) if data.strip() else []
        except ValueError as error:
            raise PkiError(f"{self._server} answered with what cannot be read: {printable(str(error))}") from None

    # ---- failures ----

    def _refusal(self, ended: _Ended, current: Current | None) -> PkiError:
        text, timeout_s = ended.output, self._settings.timeout_s
        waiting = re.search(r"checkAfter = (\d{1,9}) second", text) or re.search("'waiting' PKIStatus", text)
        if waiting is not None and (ended.killed or "timeout" in text):
            wait_s = float(waiting[1]) if waiting.lastindex else _LATER_S
            return EnrolmentPending(
                f"{self._server} has not decided within {timeout_s:g} s and wants to be asked again in {wait_s:.0f} s: "
                "the request is kept; give the command again then, or raise pki.enrolment.timeout_s",
                wait_s,
            )
        if ended.killed or "total timeout" in text or "connect error" in text:
            if unreached := self._unreached():
                return PkiError(
                    f"{self._server} cannot be reached ({unreached}): look at pki.enrolment.url and at the server"
                )
            return PkiError(
                f"{self._server}: no whole answer within {timeout_s:g} s: look at the server and the way to it"
            )
        said = _failure_words(text)
        return PkiError(f"{self._server}: {said}: {self._remedy(text, current)}")

    def _unreached(self) -> str:
        """Why there is no connection: openssl tries again and again, and does not say it then. Empty: there is one."""
        parts = urlsplit(self._settings.url)
        address = (parts.hostname or "", parts.port or (443 if self._secure else 80))
        try:
            socket.create_connection(address, GRACE_S).close()
        except OSError as error:
            return error.strerror or str(error)
        return ""

    def _remedy(self, text: str, current: Current | None) -> str:
        credentials = "check pki.enrolment.user (the reference) and password_file"
        remedies = (
            ("wrong pbm value", f"the server does not know this secret: {credentials}"),
            ("unsupported key type", "this openssl cannot protect messages with such a key: set pki.enrolment.user and "
             "password_file, or take a newer openssl"),
            ("does not match our enrollment key", "the server signed another request; ask its operator"),
            ("rejecting newly enrolled cert", f"the certificate leads to no root of {self._server_ca}"),
            ("no suitable sender cert", f"the server's signature leads to no root of {self._server_ca}: set "
             "pki.enrolment.server_ca"),
            ("error validating protection", f"the answer is not protected as it must be: {credentials}"),
            ("missing protection", f"the answer is not protected: {credentials}, and ask the server's operator"),
            ("request rejected by server", "ask its operator" if current is None else "if the certificate in use has "
             "expired or was revoked, provision anew; else ask its operator"),
            ("certificate verify failed", f"set pki.enrolment.server_ca if its root is not in {self._server_ca}; "
             "the name in pki.enrolment.url must be one of its certificate's"),
            ("code=3", "redirects are not followed: set pki.enrolment.url to the server that signs"),
            ("code=404", "check the path in pki.enrolment.url"),
            ("PIN incorrect", "the token refuses the PIN: see pki.token.pin_file"),
            ("The private key was not found", "the token or the key in it is not there: look at pki.token and at it"),
            ("No matching token", "the token or the key in it is not there: look at pki.token and at it"),
            ("Invalid engine", "install libengine-pkcs11-openssl"),
        )  # fmt: skip
        return next(
            (remedy for mark, remedy in remedies if mark in text), "look at pki.enrolment.url and at the server"
        )


def find_openssl() -> str:
    """The program's path. Raises :class:`PkiError` where it is missing, too old, or no OpenSSL."""
    path = shutil.which("openssl")
    remedy = "install openssl 3.0 or newer (apt install openssl), or use pki.enrolment.protocol est"
    if path is None:
        raise PkiError(f"CMP needs the program openssl, which is not here: {remedy}")
    ended = _run([path, "version"], _environment(), _VERSION_S)
    version = re.match(r"OpenSSL (\d+)\.(\d+)", ended.output)
    if version is None or (int(version[1]), int(version[2])) < OLDEST:
        raise PkiError(f"CMP needs openssl 3.0 or newer, {path} is {printable(ended.output, 60)!r}: {remedy}")
    return path


def with_pin_source(uri: str, pin_file: str) -> str:
    """A PKCS#11 URI that says where the PIN is (RFC 7512, 2.4), never which."""
    if re.search("[?&]pin-(value|source)=", uri):
        raise PkiError("the URI of the key in use must be without pin-value and pin-source: see pki.token.pin_file")
    return f"{uri}{'&' if '?' in uri else '?'}pin-source=file:{pin_file}"


@dataclass(frozen=True, slots=True)
class _Ended:
    code: int
    output: str
    """Both outputs, clipped."""
    killed: bool


@contextmanager
def _in_memory(pin: Pin) -> Iterator[int]:
    """A file without a name that holds the PIN alone: the engine takes a line's end for a part of it."""
    descriptor = os.memfd_create("pin", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, pin.reveal().encode())
        yield descriptor
    finally:
        os.close(descriptor)


def _run(
    command: Sequence[str], environment: Mapping[str, str], timeout_s: float, descriptors: Sequence[int] = ()
) -> _Ended:
    try:
        process = subprocess.Popen(  # noqa: S603  a list of arguments of ours, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            pass_fds=descriptors,
        )
    except OSError as error:
        raise PkiError(f"{command[0]} cannot be run: {error.strerror}") from None
    killed = threading.Event()

    def kill() -> None:
        killed.set()
        process.kill()

    alarm = threading.Timer(timeout_s, kill)
    alarm.daemon = True
    alarm.start()
    try:
        with process:
            kept = b""
            if process.stdout is not None:
                kept = process.stdout.read(MAX_OUTPUT)
                while process.stdout.read(MAX_OUTPUT):
                    pass
        return _Ended(process.returncode, kept.decode("utf-8", "replace"), killed.is_set())
    finally:
        alarm.cancel()


def _environment() -> dict[str, str]:
    """Ours without what would change where ``openssl`` goes or what it loads."""
    dropped = {"OPENSSL_CONF", "OPENSSL_MODULES", "OPENSSL_ENGINES"}
    kept = {k: v for k, v in os.environ.items() if k not in dropped and not k.lower().endswith("_proxy")}
    return {**kept, "LC_ALL": "C"}


def _failure_words(output: str) -> str:
    """The last reasons that it gives, the server's status before all else."""
    errors = [line.partition("CMP error:")[2].strip() for line in output.splitlines() if "CMP error:" in line]
    told = [error for error in errors if "PKIStatus" in error or "PKIFailureInfo" in error]
    words = [printable(error) for error in (told or errors)[:3]]
    return "; ".join(words) or printable(output.strip().splitlines()[-1] if output.strip() else "openssl said nothing")


def _check_url(url: str) -> bool:
    """Whether it is https."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  raises what is no port
    except ValueError as error:
        raise PkiError(f"pki.enrolment.url is no URL: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None or parts.fragment:
        raise PkiError(
            f"pki.enrolment.url of {parts.hostname or 'the CMP server'} must be like "
            "https://ca.utility.example/pkix/, without user and '#'"
        )
    return parts.scheme == "https"


def _check_secret(settings: Enrolment) -> None:
    if not settings.user:
        return
    if not settings.password_file:
        raise PkiError("pki.enrolment.user needs password_file: a file of mode 0600 with the shared secret alone")
    try:
        check_private(Path(settings.password_file), "password file")
    except PrivateFileError as error:
        raise PkiError(f"pki.enrolment: {error}") from None


def _check_roots(path: Path) -> None:
    try:
        x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no PEM certificates in it"
        raise PkiError(f"{path} cannot be used to know the CMP server by ({reason})") from None


def _is_ed448(chain: Path) -> bool:
    try:
        leaf = x509.load_pem_x509_certificate(chain.read_bytes())
        return isinstance(leaf.public_key(), ed448.Ed448PublicKey)
    except (OSError, ValueError) as error:
        raise PkiError(f"the renewal cannot prove itself: {chain} cannot be read ({printable(str(error))})") from None
