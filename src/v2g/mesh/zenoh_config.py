"""What Zenoh is told: its configuration for one node, and what is looked at before a session is opened."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from v2g.mesh.ports import EngineError

LARGEST_BYTES: Final = 65_536
_LOCATOR: Final = re.compile(r"tls/(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")
_QUEUE: Final = {
    "size": {"interactive_high": 16},
    "congestion_control": {"drop": {"wait_before_drop": 10_000}},
}
"""As they come (2 batches, 1 ms) a host whose cores are busy loses half of what all say at the same moment; with these
next to nothing, and whoever publishes to a neighbour that is frozen waits a few milliseconds at most. Microseconds."""
_MESSAGES: Final = (
    "put",
    "declare_subscriber",
    "liveliness_token",
    "declare_liveliness_subscriber",
    "liveliness_query",
)
_REMEDIES: Final = (
    ("address already in use", "another process listens there: end it, or choose another port"),
    ("cannot assign requested address", "the host has no such address: correct it, or listen on tls/[::]"),
    ("permission denied", "the port is not ours to open: choose one above 1023"),
    ("failed to lookup address", "the host name is not known here: correct it"),
    ("no root trust anchors", "install the certificate of the mesh's authority"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """``address``: a locator to dial, ``tls/host:port``; empty: it dials us."""

    node: str
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ZenohSettings:
    """``listen``: locators like ``tls/[::]:7447``. ``members``: common names whose messages pass.

    ``prefix``: under which all keys of this mesh are; the last part of each is a member's name.
    """

    node: str
    prefix: str
    listen: tuple[str, ...]
    neighbours: tuple[Neighbour, ...]
    certificate: Path
    key: Path
    ca: Path
    members: frozenset[str]
    lease_s: float = 1.0


def check(settings: ZenohSettings) -> None:
    """What Zenoh itself would tell late, in other words or not at all. Raises :class:`EngineError`."""
    for locator in settings.listen:
        _check_locator(locator, "listen on", literal=True)
    for each in settings.neighbours:
        if each.address:
            _check_locator(each.address, f"dial {each.node} at", literal=False)
    for path in (settings.certificate, settings.key, settings.ca):
        try:
            path.read_bytes()
        except OSError as error:
            raise EngineError(f"mesh: {path} cannot be read: {error.strerror}; install it") from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # A key with a password must not ask for it at the terminal.
        context.load_cert_chain(settings.certificate, settings.key, password=lambda: "")
    except (ssl.SSLError, ValueError) as error:
        what = f"certificate {settings.certificate} and key {settings.key}"
        if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
            raise EngineError(f"mesh: {what} do not belong together: install those that were made together") from None
        remedy = "install PEM files, the key without a password"
        raise EngineError(f"mesh: {what} cannot be used ({_ssl_words(error)}): {remedy}") from None
    try:
        context.load_verify_locations(settings.ca)
    except (ssl.SSLError, ValueError) as error:
        remedy = "install the certificate of the mesh's authority, PEM"
        raise EngineError(f"mesh: {settings.ca} cannot be used ({_ssl_words(error)}): {remedy}") from None


def reason(error: BaseException) -> str:
    """Zenoh's errors carry source positions; their first part is for people, with a remedy where one is known."""
    words = str(error).split(" at /", 1)[0].strip().rstrip(".") or type(error).__name__
    remedy = next((remedy for sign, remedy in _REMEDIES if sign in words.lower()), "")
    return f"{words}; {remedy}" if remedy else words


def configuration(settings: ZenohSettings) -> dict[str, Any]:
    """As Zenoh's JSON5 configuration has it."""
    certificate, key = str(settings.certificate), str(settings.key)
    return {
        "mode": "router",
        "listen": {"endpoints": list(settings.listen)},
        "connect": {
            "endpoints": [each.address for each in settings.neighbours if each.address],
            "timeout_ms": -1,
            "exit_on_failure": False,
        },
        # Nothing is looked for, so that there is nothing to wait for either (half a second by default).
        "scouting": {"delay": 0, "multicast": {"enabled": False}, "gossip": {"enabled": False}},
        "transport": {
            "link": {
                "protocols": ["tls"],
                "tx": {"lease": round(settings.lease_s * 1e3), "keep_alive": 4, "queue": _QUEUE},
                "rx": {"max_message_size": 2 * LARGEST_BYTES},
                "tls": {
                    "root_ca_certificate": str(settings.ca),
                    "listen_certificate": certificate,
                    "listen_private_key": key,
                    "connect_certificate": certificate,
                    "connect_private_key": key,
                    "enable_mtls": True,
                    "verify_name_on_connect": True,
                    "close_link_on_expiration": True,
                },
            }
        },
        "access_control": {
            "enabled": True,
            "default_permission": "deny",
            "rules": [
                {
                    "id": "mesh",
                    "permission": "allow",
                    "flows": ["ingress", "egress"],
                    "key_exprs": [f"{settings.prefix}/**"],
                    "messages": list(_MESSAGES),
                }
            ],
            "subjects": [
                {
                    "id": "members",
                    # Zenoh refuses an empty list: who is alone names itself.
                    "cert_common_names": sorted(settings.members - {settings.node}) or [settings.node],
                    "link_protocols": ["tls"],
                }
            ],
            "policies": [{"rules": ["mesh"], "subjects": ["members"]}],
        },
    }


def _check_locator(locator: str, what: str, *, literal: bool) -> None:
    found = _LOCATOR.fullmatch(locator)
    if found is None or not 1 <= int(found[2]) <= 65_535:
        raise EngineError(f"mesh: cannot {what} {locator!r}: write it as tls/host:port, port 1..65535")
    if not literal and found[1].startswith("["):
        raise EngineError(
            f"mesh: cannot {what} {locator!r}: Zenoh checks no certificate against an IPv6 literal; "
            "give a host name, or an IPv4 address"
        )


def _ssl_words(error: Exception) -> str:
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    return "not PEM" if "PEM lib" in str(error) else str(error)
