"""The system's OpenSSL by its public API: the calls that TLS with a private key held elsewhere needs, and no others.

``ssl`` takes private keys from files only, and the bindings of its kind hand out no key that signs by a call. Types and
arguments are those of OpenSSL's manual pages; pointers stay opaque, no structure is looked into.
"""

from __future__ import annotations

import ctypes
import functools
from ctypes import CFUNCTYPE, POINTER, c_char_p, c_int, c_long, c_size_t, c_ubyte, c_uint, c_ulong, c_void_p
from typing import Any, Final

from pyiso15118.security.profile import TlsError

TLS1_3: Final = 0x0304
VERIFY_PEER: Final = 1
FAIL_IF_NO_PEER_CERT: Final = 2
NO_CHECK_TIME: Final = 0x200000
IGNORE_CRITICAL: Final = 0x10
RECEIVED_SHUTDOWN: Final = 2
REJECTED: Final = 28
"""X509_V_ERR_CERT_REJECTED; the alert is bad_certificate."""

CTRL_SET_SESS_CACHE_MODE: Final = 44
CTRL_SET_TLSEXT_STATUS_REQ_CB: Final = 63
CTRL_SET_TLSEXT_STATUS_REQ_OCSP_RESP: Final = 71
CTRL_SET_GROUPS_LIST: Final = 92
CTRL_SET_SIGALGS_LIST: Final = 98
CTRL_SET_CLIENT_SIGALGS_LIST: Final = 102
CTRL_SET_MIN_PROTO_VERSION: Final = 123
CTRL_SET_MAX_PROTO_VERSION: Final = 124
CTRL_GET_NEGOTIATED_GROUP: Final = 134
BIO_C_SET_BUF_MEM_EOF_RETURN: Final = 130
OP_CIPHER_SERVER_PREFERENCE: Final = 1 << 22
OP_NO_RENEGOTIATION: Final = 1 << 30

ERROR_SSL, ERROR_WANT_READ, ERROR_WANT_WRITE, ERROR_SYSCALL, ERROR_ZERO_RETURN = 1, 2, 3, 5, 6
LIB_SSL: Final = 20
REASON_CERTIFICATE_VERIFY_FAILED: Final = 134
REASON_UNEXPECTED_EOF: Final = 294

EVP_PKEY_EC: Final = 408
NID_SECP521R1: Final = 716

SIGN_CALLBACK = CFUNCTYPE(
    c_int, c_int, POINTER(c_ubyte), c_int, POINTER(c_ubyte), POINTER(c_uint), c_void_p, c_void_p, c_void_p
)
"""type, digest, its length, signature out, its length out, kinv, r, EC_KEY: 1 done, 0 failed."""
STATUS_CALLBACK = CFUNCTYPE(c_int, c_void_p, c_void_p)
VERIFY_CALLBACK = CFUNCTYPE(c_int, c_void_p, c_void_p)
"""X509_STORE_CTX and an argument of ours: 1 accepted."""

_P, _I, _S, _L = c_void_p, c_int, c_char_p, c_long
_SSL: Final[dict[str, tuple[Any, tuple[Any, ...]]]] = {
    "TLS_server_method": (_P, ()),
    "TLS_client_method": (_P, ()),
    "SSL_CTX_new": (_P, (_P,)),
    "SSL_CTX_free": (None, (_P,)),
    "SSL_CTX_ctrl": (_L, (_P, _I, _L, _P)),
    "SSL_CTX_callback_ctrl": (_L, (_P, _I, STATUS_CALLBACK)),
    "SSL_CTX_set_options": (ctypes.c_uint64, (_P, ctypes.c_uint64)),
    "SSL_CTX_set_ciphersuites": (_I, (_P, _S)),
    "SSL_CTX_set_num_tickets": (_I, (_P, c_size_t)),
    "SSL_CTX_use_certificate_chain_file": (_I, (_P, _S)),
    "SSL_CTX_use_PrivateKey": (_I, (_P, _P)),
    "SSL_CTX_check_private_key": (_I, (_P,)),
    "SSL_CTX_load_verify_locations": (_I, (_P, _S, _S)),
    "SSL_CTX_set_verify": (None, (_P, _I, _P)),
    "SSL_CTX_set_cert_verify_callback": (None, (_P, VERIFY_CALLBACK, _P)),
    "SSL_CTX_get0_param": (_P, (_P,)),
    "SSL_load_client_CA_file": (_P, (_S,)),
    "SSL_add_file_cert_subjects_to_stack": (_I, (_P, _S)),
    "SSL_CTX_set_client_CA_list": (None, (_P, _P)),
    "SSL_new": (_P, (_P,)),
    "SSL_free": (None, (_P,)),
    "SSL_ctrl": (_L, (_P, _I, _L, _P)),
    "SSL_set_bio": (None, (_P, _P, _P)),
    "SSL_set_accept_state": (None, (_P,)),
    "SSL_set_connect_state": (None, (_P,)),
    "SSL_do_handshake": (_I, (_P,)),
    "SSL_read": (_I, (_P, _P, _I)),
    "SSL_write": (_I, (_P, _P, _I)),
    "SSL_shutdown": (_I, (_P,)),
    "SSL_get_shutdown": (_I, (_P,)),
    "SSL_pending": (_I, (_P,)),
    "SSL_get_error": (_I, (_P, _I)),
    "SSL_is_init_finished": (_I, (_P,)),
    "SSL_get_version": (_S, (_P,)),
    "SSL_get_current_cipher": (_P, (_P,)),
    "SSL_CIPHER_get_name": (_S, (_P,)),
    "SSL_CIPHER_get_bits": (_I, (_P, _P)),
    "SSL_get1_peer_certificate": (_P, (_P,)),
    "SSL_get_peer_cert_chain": (_P, (_P,)),
    "SSL_get_verify_result": (_L, (_P,)),
}
_CRYPTO: Final[dict[str, tuple[Any, tuple[Any, ...]]]] = {
    "BIO_s_mem": (_P, ()),
    "BIO_new": (_P, (_P,)),
    "BIO_free": (_I, (_P,)),
    "BIO_read": (_I, (_P, _P, _I)),
    "BIO_write": (_I, (_P, _P, _I)),
    "BIO_ctrl": (_L, (_P, _I, _L, _P)),
    "BIO_ctrl_pending": (c_size_t, (_P,)),
    "CRYPTO_malloc": (_P, (c_size_t, _S, _I)),
    "EC_KEY_OpenSSL": (_P, ()),
    "EC_KEY_METHOD_new": (_P, (_P,)),
    "EC_KEY_METHOD_set_sign": (None, (_P, SIGN_CALLBACK, _P, _P)),
    "EC_KEY_new_by_curve_name": (_P, (_I,)),
    "EC_KEY_oct2key": (_I, (_P, _S, c_size_t, _P)),
    "EC_KEY_set_method": (_I, (_P, _P)),
    "EC_KEY_free": (None, (_P,)),
    "ECDSA_size": (_I, (_P,)),
    "ERR_clear_error": (None, ()),
    "ERR_get_error": (c_ulong, ()),
    "ERR_reason_error_string": (_S, (c_ulong,)),
    "EVP_PKEY_new": (_P, ()),
    "EVP_PKEY_assign": (_I, (_P, _I, _P)),
    "EVP_PKEY_free": (None, (_P,)),
    "OBJ_nid2sn": (_S, (_I,)),
    "OPENSSL_sk_num": (_I, (_P,)),
    "OPENSSL_sk_value": (_P, (_P, _I)),
    "X509_free": (None, (_P,)),
    "X509_STORE_CTX_get0_cert": (_P, (_P,)),
    "X509_STORE_CTX_get0_untrusted": (_P, (_P,)),
    "X509_STORE_CTX_set_error": (None, (_P, _I)),
    "X509_verify_cert": (_I, (_P,)),
    "X509_VERIFY_PARAM_set_flags": (_I, (_P, c_ulong)),
    "X509_verify_cert_error_string": (_S, (_L,)),
    "i2d_X509": (_I, (_P, _P)),
}


class Library:
    """Both libraries' functions by their names. Calls let other threads run; errors are queued for each thread."""

    def __init__(self) -> None:
        for soname, functions in (("libcrypto.so.3", _CRYPTO), ("libssl.so.3", _SSL)):
            handle = ctypes.CDLL(soname)
            for name, (result, arguments) in functions.items():
                function = getattr(handle, name)
                function.restype, function.argtypes = result, arguments
                setattr(self, name, function)

    def __getattr__(self, name: str) -> Any:
        """Reached for names only that are in neither table."""
        raise AttributeError(f"OpenSSL's {name} is not among the calls used here")

    def errors(self) -> list[tuple[int, int, str]]:
        """This thread's queue, oldest first, emptied: library, reason, words."""
        found: list[tuple[int, int, str]] = []
        while code := self.ERR_get_error():
            words = self.ERR_reason_error_string(code)
            text = words.decode("ascii", "replace") if words else f"OpenSSL error {code:08X}"
            found.append((code >> 23 & 0xFF, code & 0x7FFFFF, text))
        return found

    def der(self, certificate: int) -> bytes:
        """Of an X509."""
        size = self.i2d_X509(certificate, None)
        if size <= 0:
            raise ValueError("OpenSSL cannot encode the certificate")
        buffer = ctypes.create_string_buffer(size)
        place = c_void_p(ctypes.addressof(buffer))
        self.i2d_X509(certificate, ctypes.byref(place))
        return ctypes.string_at(buffer, size)

    def stack_of_der(self, stack: int | None) -> list[bytes]:
        """Of a STACK_OF(X509); None is an empty one."""
        count = self.OPENSSL_sk_num(stack) if stack else 0
        return [self.der(self.OPENSSL_sk_value(stack, index)) for index in range(count)]

    def reason(self) -> str:
        """The queue's errors in words, the first cause first."""
        return "; ".join(dict.fromkeys(text for _, _, text in self.errors())) or "OpenSSL gives no reason"


@functools.cache
def library() -> Library:
    """Raises :class:`TlsError` where OpenSSL 3 is not there, or of another API."""
    try:
        return Library()
    except (OSError, AttributeError) as error:
        raise TlsError(f"OpenSSL 3 cannot be used for a key on a token: {error}; install libssl3") from error
