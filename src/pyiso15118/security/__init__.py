"""Certificates and TLS contexts."""

from pyiso15118.security.pki import (
    Authority,
    Credential,
    CredentialFiles,
    Curve,
    Pki,
    write_credential,
    write_trust_anchor,
)
from pyiso15118.security.tls import (
    PeerIdentity,
    TlsContext,
    TlsError,
    TlsProfile,
    check_connection,
    check_context,
    client_context,
    describe_gaps,
    openssl_conf_active,
    openssl_conf_path,
    peer_identity,
    server_context,
)

__all__ = [
    "Authority",
    "Credential",
    "CredentialFiles",
    "Curve",
    "PeerIdentity",
    "Pki",
    "TlsContext",
    "TlsError",
    "TlsProfile",
    "check_connection",
    "check_context",
    "client_context",
    "describe_gaps",
    "openssl_conf_active",
    "openssl_conf_path",
    "peer_identity",
    "server_context",
    "write_credential",
    "write_trust_anchor",
]
