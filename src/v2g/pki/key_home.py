"""Where the keys of a TLS profile live."""

from __future__ import annotations

from pathlib import Path

from pyiso15118.security import TlsProfile
from v2g.config.schema import Config
from v2g.pki.file_key import FileKeys
from v2g.pki.model import KeyHome


def key_home_for(config: Config, profile: TlsProfile) -> KeyHome:
    """The token for profile strict where one is configured, else files. Raises :class:`v2g.pki.model.PkiError`."""
    pki = config.pki
    if profile is TlsProfile.STRICT and pki.token is not None:
        from v2g.pki.token import TokenKeys

        return TokenKeys(pki.token, pki.key)
    return FileKeys(directory_of(config, profile), pki.key, profile)


def directory_of(config: Config, profile: TlsProfile) -> Path:
    """Of the files of a profile."""
    base = Path(config.pki.dir)
    return base if profile is TlsProfile.STRICT else base / "compat"
