"""Everything that lies on the disk for one TLS profile, as people and programs are told of it."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec
from cryptography import x509

from pyiso15118.errors import Iso15118Error
from pyiso15118.security import TlsProfile
from pyiso15118.security.private_file import PrivateFileError, check_private, read_private, user_name
from v2g.config.paths import PkiPaths, pki_paths
from v2g.config.schema import Config
from v2g.control.messages_pki import CertificateLine
from v2g.pki import store as files
from v2g.pki.bundle import certificates_in, read_file
from v2g.pki.chain_check import PairMismatch, check_pair
from v2g.pki.facts import ANCHOR, ISSUER, OWN, ROOT, certificate_line, expiry_problems, is_due
from v2g.pki.file_key import load_key
from v2g.pki.key_home import directory_of, key_home_for
from v2g.pki.model import PkiError, PrivateKey
from v2g.pki.store import Store, in_force


class ProfileOverview(msgspec.Struct, frozen=True, kw_only=True):
    """``key_matches`` None: not known, since the key cannot be read by who asks; ``problems`` says why."""

    profile: str
    directory: str
    certificates: tuple[CertificateLine, ...]
    """Our own first, then its issuers, its roots, and the trust anchors of vehicles."""
    key_location: str
    key_owner: str
    key_mode: str
    key_matches: bool | None
    renewal_due: bool
    pending_request: str
    """File of a request that waits for its certificate; empty: none does."""
    problems: tuple[str, ...] = ()


def overview(config: Config, profile: TlsProfile, at_unix_s: float) -> ProfileOverview:
    """What is in force on the disk; whatever cannot be read is a problem in the answer. Never raises."""
    places = _places(in_force(pki_paths(config)), profile)
    lines, problems = certificate_lines(config, profile, at_unix_s)
    own = next((line for line in lines if line.use == OWN), None)
    location, owner, mode = _location(config, profile, places.key, problems)
    matches = _matches(config, profile, places, problems) if own is not None else None
    problems += [words for _, words in expiry_problems(lines, config.pki.warn_days)]
    return ProfileOverview(
        profile=profile.value,
        directory=str(directory_of(config, profile)),
        certificates=tuple(lines),
        key_location=location,
        key_owner=owner,
        key_mode=mode,
        key_matches=matches,
        renewal_due=own is not None and is_due(own, config.pki.renew_at),
        pending_request=_pending(directory_of(config, profile)),
        problems=tuple(problems),
    )


def certificate_lines(config: Config, profile: TlsProfile, at_unix_s: float) -> tuple[list[CertificateLine], list[str]]:
    """Our own certificate, its issuers, its roots, the trust anchors, as they are on the disk; and what is not to be
    read."""
    problems: list[str] = []
    places = _places(in_force(pki_paths(config)), profile)
    return list(_lines(places, directory_of(config, profile), problems, at_unix_s)), problems


def key_in_force(config: Config, profile: TlsProfile) -> PrivateKey:
    """Raises :class:`PkiError`."""
    path = _places(in_force(pki_paths(config)), profile).key
    if profile is TlsProfile.STRICT and config.pki.token is not None:
        return key_home_for(config, profile).load(read_file(path, "key reference"))
    return load_key(path, _password(config))


class _Places(msgspec.Struct, frozen=True):
    chain: Path
    key: Path
    trust: Path


def _places(paths: PkiPaths, profile: TlsProfile) -> _Places:
    if profile is TlsProfile.COMPAT:
        return _Places(paths.compat_chain, paths.compat_key, paths.compat_trust)
    return _Places(paths.strict_chain, paths.strict_key, paths.strict_trust)


def _lines(places: _Places, directory: Path, problems: list[str], at_unix_s: float) -> Iterator[CertificateLine]:
    roots = Store(directory).path(files.ROOTS)
    for path, uses, remedy in (
        (places.chain, (OWN, ISSUER), "v2g-cert-manager provision makes it"),
        (roots, (ROOT, ROOT), ""),
        (places.trust, (ANCHOR, ANCHOR), "v2g-cert-manager anchors FILE installs it"),
    ):
        if not remedy and not files.is_file(path):
            continue
        try:
            found = certificates_in(read_file(path, "certificate file", remedy), f"certificate file {path}")
            yield from (
                certificate_line(certificate, uses[min(position, 1)], str(path), at_unix_s)
                for position, certificate in enumerate(found)
            )
        except PkiError as error:
            problems.append(str(error))


def _location(config: Config, profile: TlsProfile, path: Path, problems: list[str]) -> tuple[str, str, str]:
    """Where the key is, and owner and mode of the file that is or names it."""
    if profile is TlsProfile.STRICT and config.pki.token is not None:
        words = f"token, named in {path}"
    else:
        words = f"file {path}"
        try:
            check_private(path)
        except PrivateFileError as error:
            problems.append(str(error))
    try:
        found = path.lstat()
    except OSError as error:
        if config.pki.token is not None and profile is TlsProfile.STRICT:
            problems.append(f"{path}, which names the key in the token, cannot be read: {error.strerror}")
        return words, "", ""
    return words, user_name(found.st_uid), f"{stat.S_IMODE(found.st_mode):04o}"


def _matches(config: Config, profile: TlsProfile, places: _Places, problems: list[str]) -> bool | None:
    try:
        leaf = certificates_in(read_file(places.chain, "certificate chain"), str(places.chain))[0]
        key = key_in_force(config, profile)
    except PkiError as error:
        if str(error) not in problems:
            problems.append(str(error))
        return None
    return _is_pair(key, leaf, places, problems)


def _is_pair(key: PrivateKey, leaf: x509.Certificate, places: _Places, problems: list[str]) -> bool | None:
    try:
        check_pair(key, leaf)
    except PairMismatch as error:
        problems.append(f"{places.key} and {places.chain}: {error}")
        return False
    except (PkiError, Iso15118Error) as error:
        problems.append(str(error))
        return None
    return True


def _password(config: Config) -> bytes | None:
    path = pki_paths(config).key_password_file
    if path is None:
        return None
    try:
        return read_private(path, "key password file").rstrip(b"\n")
    except PrivateFileError as error:
        raise PkiError(str(error)) from error


def _pending(directory: Path) -> str:
    path = directory / files.REQUEST
    return str(path) if files.is_file(path) else ""
