"""The directory of our own certificate: key, chain and trust change together or not at all.

New files are staged in ``next.tmp/`` and put on the disk; renaming that to ``next/`` is the commit. From then on the
new files are in force: readers look into ``next/`` first (:func:`in_force`), and whoever may write copies them to their
places and, when all are there, removes ``next/``. A process that dies or a host that loses power in between leaves the
old files in force or the new ones.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pyiso15118.security.private_file import PrivateFileError, read_private, user_name
from v2g.config.paths import MeshPaths, PkiPaths
from v2g.pki.model import KeyReference, PkiError

KEY = "private.key"
KEY_URI = "private.key.uri"
CHAIN = "chain.pem"
TRUST = "trust.pem"
ROOTS = "ca-bundle.pem"
"""Roots that our own chain ends in: for renewals and ``verify``."""
MESH_CA = "ca.pem"
"""Of the mesh's authority, in ``mesh.dir``."""
REQUEST = "request.csr"
_NAMES = (KEY, KEY_URI, CHAIN, TRUST, ROOTS, MESH_CA)
_OTHER_KIND = {KEY: KEY_URI, KEY_URI: KEY}
_PENDING = {KEY: "pending.key", KEY_URI: "pending.key.uri", ROOTS: "pending.ca-bundle.pem", TRUST: "pending.trust.pem"}
_STAGING, _NEXT, _DONE = "next.tmp", "next", "next.old"
_LOCK = ".lock"
_SECRET, _PUBLIC = 0o600, 0o644
DIRECTORY_MODE = 0o750


@dataclass(frozen=True, slots=True)
class Pending:
    """A request that waits for its certificate, and what stands for its key."""

    csr: bytes
    key: KeyReference
    roots: bytes | None = None
    """What its chain must lead to; None: what is installed."""
    trust: bytes | None = None
    """Trust anchors to be installed with it."""


class Store:
    """One directory: ``pki.dir`` for profile strict, ``pki.dir/compat`` for compat, ``mesh.dir``. Every method may
    raise :class:`PkiError`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def path(self, name: str) -> Path:
        """Where the file in force is, whether it is there or not."""
        return _in_force(self.directory, self.directory / name)

    def read(self, name: str) -> bytes | None:
        """The file in force, None if there is none; keys only if they are private."""
        path = self.path(name)
        if name in _OTHER_KIND:
            return _read_private(path) if os.path.lexists(path) else None
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise PkiError(f"{path} cannot be read: {error.strerror}") from error

    def key_reference(self) -> KeyReference | None:
        """What stands for the key in force."""
        for name in (KEY, KEY_URI):
            if (content := self.read(name)) is not None:
                return KeyReference(name, content)
        return None

    def pending(self) -> Pending | None:
        """The request that waits. What a killed process left half is none."""
        csr_path = self.directory / REQUEST
        for name in _OTHER_KIND:
            path = self.directory / _PENDING[name]
            if is_file(csr_path) and os.path.lexists(path):
                reference = KeyReference(name, _read_private(path))
                return Pending(_read(csr_path), reference, self._read_pending(ROOTS), self._read_pending(TRUST))
        return None

    def _read_pending(self, name: str) -> bytes | None:
        path = self.directory / _PENDING[name]
        return _read(path) if is_file(path) else None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else writes meanwhile; a commit that a killed process left is carried out first.

        The directory is made if it is missing.
        """
        try:
            self.directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
            lock = os.open(self.directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, _SECRET)
        except OSError as error:
            raise PkiError(_not_writable(self.directory, error)) from error
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise PkiError(f"another v2g-cert-manager is at work in {self.directory}: wait for its end") from None
            self._recover()
            yield
        finally:
            os.close(lock)

    def install(self, files: Mapping[str, bytes], check: Callable[[Path], None]) -> None:
        """Put ``files`` (name and content) in force, together. Within :meth:`locked`.

        ``check`` is given the directory in which they are staged under their names, and raises to keep them from being
        put in force. With a new key, one of the other kind and a request that waited are gone afterwards.
        """
        staging = self.directory / _STAGING
        with self._writing():
            staging.mkdir(mode=0o700)
            for name, content in files.items():
                _write(staging / name, content, _SECRET if name in _OTHER_KIND else _PUBLIC)
            _sync_directory(staging)
        try:
            check(staging)
        except BaseException:
            with self._writing():
                shutil.rmtree(staging)
            raise
        with self._writing():
            staging.rename(self.directory / _NEXT)
            _sync_directory(self.directory)
        self._recover()
        if not files.keys().isdisjoint(_OTHER_KIND):
            self.drop_pending()

    def keep_pending(self, pending: Pending) -> None:
        """Let a request wait; an earlier one is forgotten. Within :meth:`locked`."""
        self.drop_pending()
        with self._writing():
            # The request last: without it the others count for nothing.
            for name, content, mode in (
                (_PENDING[ROOTS], pending.roots, _PUBLIC),
                (_PENDING[TRUST], pending.trust, _PUBLIC),
                (_PENDING[pending.key.file_name], pending.key.content, _SECRET),
                (REQUEST, pending.csr, _PUBLIC),
            ):
                if content is not None:
                    self._put(name, content, mode)
            _sync_directory(self.directory)

    def drop_pending(self) -> None:
        """Forget the request that waits, and what waits with it. Within :meth:`locked`."""
        with self._writing():
            for name in (REQUEST, *_PENDING.values()):
                (self.directory / name).unlink(missing_ok=True)

    def _recover(self) -> None:
        """Carry out what was committed; sweep out what was not."""
        following = self.directory / _NEXT
        with self._writing():
            for name in (_STAGING, _DONE):
                with contextlib.suppress(FileNotFoundError):
                    shutil.rmtree(self.directory / name)
            if not following.is_dir():
                return
            for name in _NAMES:
                if (following / name).is_file():
                    self._put(name, (following / name).read_bytes(), _SECRET if name in _OTHER_KIND else _PUBLIC)
            for name, other in _OTHER_KIND.items():
                if (following / name).is_file():
                    (self.directory / other).unlink(missing_ok=True)
            _sync_directory(self.directory)
            # One step for whoever reads: all of it is in next/, or nothing.
            following.rename(self.directory / _DONE)
            shutil.rmtree(self.directory / _DONE)
            _sync_directory(self.directory)

    def _put(self, name: str, content: bytes, mode: int) -> None:
        fresh = self.directory / f".{name}.new"
        fresh.unlink(missing_ok=True)
        _write(fresh, content, mode)
        fresh.rename(self.directory / name)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise PkiError(_not_writable(self.directory, error)) from error


def in_force(paths: PkiPaths) -> PkiPaths:
    """``paths``, with those inside ``next/`` where a commit was not carried out yet; they may be gone soon after.

    Whoever reads several compares :func:`generation` before and after.
    """
    compat = paths.dir / "compat"
    return replace(
        paths,
        strict_chain=_in_force(paths.dir, paths.strict_chain),
        strict_key=_in_force(paths.dir, paths.strict_key),
        strict_trust=_in_force(paths.dir, paths.strict_trust),
        compat_chain=_in_force(compat, paths.compat_chain),
        compat_key=_in_force(compat, paths.compat_key),
        compat_trust=_in_force(compat, paths.compat_trust),
    )


def mesh_in_force(paths: MeshPaths) -> MeshPaths:
    """As :func:`in_force`."""
    return replace(
        paths,
        chain=_in_force(paths.dir, paths.chain),
        key=_in_force(paths.dir, paths.key),
        ca=_in_force(paths.dir, paths.ca),
    )


def generation(paths: PkiPaths) -> object:
    """Differs once any file of ``paths`` was replaced: what was read between two equal ones belongs together."""
    now = in_force(paths)
    files = (
        *(now.strict_chain, now.strict_key, now.strict_trust),
        *(now.compat_chain, now.compat_key, now.compat_trust),
    )
    return tuple((path, _stamp(path)) for path in files)


def _in_force(directory: Path, path: Path) -> Path:
    committed = directory / _NEXT / path.name
    return committed if path.parent == directory and is_file(committed) else path


def is_file(path: Path) -> bool:
    """Also False where it is not to be seen by who asks: reading it tells why."""
    try:
        return path.is_file()
    except OSError:
        return False


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PkiError(f"{path} cannot be read: {error.strerror}") from error


def _read_private(path: Path) -> bytes:
    try:
        return read_private(path)
    except PrivateFileError as error:
        raise PkiError(str(error)) from error


def _write(path: Path, content: bytes, mode: int) -> None:
    # Made anew, and private from the first byte on; the umask may not take away what others are to read.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, _SECRET)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _not_writable(directory: Path, error: OSError) -> str:
    reason = f"{directory} cannot be written to: {error.strerror or error}"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{reason}: run this as root, or let the directory belong to you: chown {user_name(os.geteuid())}"
    if error.errno == errno.EROFS:
        return f"{reason}: in a unit, add ReadWritePaths={directory}"
    if error.errno == errno.ENOSPC:
        return f"{reason}: make room; what was in force stays so"
    return reason
