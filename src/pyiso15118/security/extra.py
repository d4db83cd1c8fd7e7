"""What is not there without an extra of the package."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pyiso15118.security.profile import TlsError


@contextmanager
def needs_pyopenssl(what: str) -> Iterator[None]:
    """Around imports: where pyOpenSSL is missing, a :class:`TlsError` that says how to get ``what``."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "OpenSSL":
            raise
        raise TlsError(
            f"{what} needs pyOpenSSL, which is not installed: pip install pyOpenSSL, or pyiso15118 with its extra tls"
        ) from error
