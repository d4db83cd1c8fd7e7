"""Where OpenSSL asks: for a signature by a key that is elsewhere, and for a verdict on a peer's chain.

The calls come on the thread that does the handshake, within it. No exception passes through OpenSSL: why a call failed
waits for the thread in :data:`outcome`.
"""

from __future__ import annotations

import ctypes
import functools
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pyiso15118.errors import Iso15118Error
from pyiso15118.security import libssl
from pyiso15118.security.chain import ChainError, ValidatedChain
from pyiso15118.security.profile import TlsError, TlsProfile
from pyiso15118.security.tls_peer import PeerTrust, refused

Sign = Callable[[bytes], bytes]
"""From the SHA-512 of what is to be signed to an ECDSA signature in DER. May block for the time that the token takes,
without holding the interpreter; called on the thread that does the handshake. Raises :class:`KeyUnavailable`."""

_DONE, _FAILED, _STAPLE_OK = 1, 0, 0


class KeyUnavailable(Iso15118Error):
    """The private key cannot sign now: which, why, and the remedy."""


class KeyUnavailableInHandshake(ssl.SSLError):
    """The handshake failed for want of our own key; the peer did nothing wrong."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Who answers for one context: for the key, which has signatures of ``longest`` bytes at most, and for trust."""

    sign: Sign
    longest: int
    trust: PeerTrust | None


class Outcome(threading.local):
    """Of this thread's handshake step."""

    error: ssl.SSLError | None = None
    chain: ValidatedChain | None = None


asked: Final[dict[int, Asked]] = {}
"""By the address of OpenSSL's key: one for each context that lives."""
outcome: Final = Outcome()


@dataclass(frozen=True, slots=True)
class Callbacks:
    """They live as long as the process: OpenSSL keeps their addresses."""

    sign: object
    verify: object
    staple: object
    method: int
    """OpenSSL's own way with keys of elliptic curves, but for the signature."""


_making: Final = threading.Lock()


def callbacks() -> Callbacks:
    """Raises :class:`TlsError` where the system or OpenSSL has no room for them."""
    # A second set, made by another thread meanwhile, would be freed while OpenSSL has its addresses.
    with _making:
        return _callbacks()


@functools.cache
def _callbacks() -> Callbacks:
    lib = libssl.library()
    try:
        sign = libssl.SIGN_CALLBACK(_on_sign)
        verify = libssl.VERIFY_CALLBACK(_on_verify)
        staple = libssl.STATUS_CALLBACK(lambda _ssl, _argument: _STAPLE_OK)
    except MemoryError as error:
        raise TlsError(
            "the system forbids the memory that OpenSSL's calls back into Python need: this Python's libffi must have "
            "static trampolines (libffi 3.4, as Debian 12 has it), or the unit MemoryDenyWriteExecute=no"
        ) from error
    method = lib.EC_KEY_METHOD_new(lib.EC_KEY_OpenSSL())
    if not method:
        raise TlsError(f"OpenSSL takes no key that is elsewhere: {lib.reason()}")
    lib.EC_KEY_METHOD_set_sign(method, sign, None, None)
    return Callbacks(sign, verify, staple, int(method))


def _on_sign(
    _kind: int,
    digest: ctypes._Pointer[ctypes.c_ubyte],
    digest_length: int,
    signature: ctypes._Pointer[ctypes.c_ubyte],
    signature_length: ctypes._Pointer[ctypes.c_uint],
    _kinv: int | None,
    _r: int | None,
    key: int,
) -> int:
    try:
        who = asked[key]
        made = who.sign(ctypes.string_at(digest, digest_length))
        if not 0 < len(made) <= who.longest:
            raise KeyUnavailable(f"a signature of {len(made)} bytes is none of our private key")
    except BaseException as error:
        words = str(error) if isinstance(error, KeyUnavailable) else f"our private key does not sign: {error!r}"
        outcome.error = KeyUnavailableInHandshake(ssl.SSL_ERROR_SSL, words)
        return _FAILED
    ctypes.memmove(signature, made, len(made))
    signature_length[0] = len(made)
    return _DONE


def _on_verify(store: int, key: int) -> int:
    """After OpenSSL's own verdict: the whole chain by the profile."""
    lib = libssl.library()
    if lib.X509_verify_cert(store) != _DONE:
        return _FAILED
    trust = asked[key].trust if key in asked else None
    try:
        if trust is None:
            raise ValueError("there is nothing to judge it by")
        leaf = lib.der(lib.X509_STORE_CTX_get0_cert(store))
        others = lib.stack_of_der(lib.X509_STORE_CTX_get0_untrusted(store))
        outcome.chain = trust.validate(TlsProfile.STRICT, leaf, [der for der in others if der != leaf])
    except ChainError as error:
        words = refused(error)
    except BaseException as error:
        words = f"the vehicle's certificate cannot be judged: {str(error) or type(error).__name__}"
    else:
        return _DONE
    outcome.error = ssl.SSLCertVerificationError(ssl.SSL_ERROR_SSL, f"[SSL: CERTIFICATE_VERIFY_FAILED] {words}")
    lib.X509_STORE_CTX_set_error(store, libssl.REJECTED)
    return _FAILED
