"""The PIN of a token: from a file of our own or a systemd credential, never from arguments, environment or a URI."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyiso15118.security.private_file import PrivateFileError, read_private
from v2g.pki.model import PkiError

CREDENTIAL: Final = "v2g-token-pin"
LONGEST: Final = 255
"""Bytes of a PIN."""
_LONGEST_FILE: Final = 1024


class Pin:
    """Shows itself to nobody who does not ask for it by name."""

    __slots__ = ("__secret",)

    def __init__(self, secret: str) -> None:
        self.__secret = secret

    def reveal(self) -> str:
        return self.__secret

    def __repr__(self) -> str:
        return "<PIN>"


@dataclass(frozen=True, slots=True)
class PinSource:
    """``path`` in words is all that is told of it. ``credential``: the file is one that systemd laid there."""

    path: Path
    credential: bool

    @property
    def description(self) -> str:
        return f"systemd credential {CREDENTIAL}" if self.credential else f"PIN file {self.path}"

    def stamp(self) -> tuple[int, ...]:
        """Another one whenever the file was written or replaced; nothing of its content. Raises :class:`PkiError`."""
        try:
            found = self.path.lstat()
        except OSError as error:
            raise PkiError(f"{self.description} cannot be read: {error.strerror}: {REMEDY}") from error
        return (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)

    def read(self) -> Pin:
        """Raises :class:`PkiError`: no such file, somebody else's, open to others, a symbolic link, no PIN in it."""
        content = self._credential() if self.credential else self._file()
        try:
            text = content.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            raise PkiError(f"{self.description} is no text in UTF-8: put the PIN alone in it") from None
        if not text or not 0 < len(text.encode()) <= LONGEST or any(ord(c) < 32 for c in text):
            raise PkiError(f"{self.description} holds no PIN: put the PIN alone in it, in one line")
        return Pin(text)

    def _file(self) -> bytes:
        try:
            return read_private(self.path, "PIN file")
        except PrivateFileError as error:
            raise PkiError(str(error)) from error

    def _credential(self) -> bytes:
        # systemd lets the service read by an access list, whose mask stands in the mode where the group's bits are.
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise PkiError(f"{self.description} cannot be read: {error.strerror}: {REMEDY}") from error
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_mode & 0o037 or found.st_uid not in (0, os.geteuid()):
                raise PkiError(
                    f"{self.description} is not as systemd lays it (mode {stat.S_IMODE(found.st_mode):04o}): {REMEDY}"
                )
            return os.read(descriptor, _LONGEST_FILE)
        finally:
            os.close(descriptor)


REMEDY: Final = f"add LoadCredential={CREDENTIAL}:/path/of/the/pin to the unit, or set pki.token.pin_file"


def pin_source(pin_file: str, environment: Mapping[str, str] | None = None) -> PinSource:
    """``pin_file`` of the configuration, or, where it is empty, the credential. Raises :class:`PkiError`."""
    if pin_file:
        path = Path(pin_file)
        if not path.is_absolute():
            raise PkiError(f"pki.token.pin_file {pin_file} is no absolute path")
        return PinSource(path, credential=False)
    directory = (os.environ if environment is None else environment).get("CREDENTIALS_DIRECTORY", "")
    if not directory:
        raise PkiError(f"no PIN for the token: {REMEDY}")
    return PinSource(Path(directory) / CREDENTIAL, credential=True)
