"""The handshakes of the show: who offers what, and what has to come of it; and the report of those that were made."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

REPORT = Path(__file__).resolve().parents[1] / "bench" / "report_handshakes.md"
KEEP = "V2G_HANDSHAKES_REPORT"
NO_SUITE, NO_CERTIFICATE = "handshake_failure", "certificate_required"
ALERTS = {
    40: "handshake_failure", 42: "bad_certificate", 43: "unsupported_certificate", 44: "certificate_revoked",
    45: "certificate_expired", 46: "certificate_unknown", 48: "unknown_ca", 50: "decode_error", 70: "protocol_version",
    80: "internal_error", 116: "certificate_required",
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """``alert`` None: accepted. ``said``: in the station's log line, or in s_client's output where it is accepted."""

    name: str
    offers: str
    """Options of ``openssl s_client``."""
    shows: str = "vehicle"
    """The vehicle's certificate, by name; empty: none."""
    alert: str | None = None
    said: str = ""
    evse: str = "strict"


ROWS = (
    # What ISO 15118-20 wants.
    Row("all that OpenSSL offers", "", said="TLS_AES_256_GCM_SHA384"),
    Row("TLS 1.3 or older", "-no_tls1", said="TLSv1.3"),
    Row("group secp521r1 only", "-groups P-521", said="TLS_AES_256_GCM_SHA384"),
    Row("group x448 only", "-groups X448", said="X448"),
    Row("suite CHACHA20 only", "-ciphersuites TLS_CHACHA20_POLY1305_SHA256", said="TLS_CHACHA20_POLY1305_SHA256"),
    Row("signature ecdsa_secp521r1_sha512 only", "-sigalgs ECDSA+SHA512", said="TLSv1.3"),
    Row("an Ed448 certificate", "", "ed448", said="TLSv1.3"),
    Row("asks for an OCSP response", "-status", said="OCSP Response Status: successful"),
    Row("looks at the authorities named", "", said="Acceptable client certificate CA names"),
    # Something else than the profile.
    Row("TLS 1.2 only", "-tls1_2", alert="protocol_version", said="offers no TLS 1.3"),
    Row("suite AES-128 only", "-ciphersuites TLS_AES_128_GCM_SHA256", alert=NO_SUITE, said="no suite of the profile"),
    Row("group P-256 only", "-groups P-256", alert=NO_SUITE, said="no group of the profile"),
    Row("group P-384 only", "-groups P-384", alert=NO_SUITE, said="no group of the profile"),
    Row("group X25519 only", "-groups X25519", alert=NO_SUITE, said="no group of the profile"),
    Row("signature P-256 only", "-sigalgs ECDSA+SHA256", alert=NO_SUITE, said="no signature"),
    Row("signature RSA-PSS only", "-sigalgs RSA-PSS+SHA256", alert=NO_SUITE, said="no signature"),
    Row("signature Ed25519 only", "-sigalgs ed25519", alert=NO_SUITE, said="no signature"),
    # Chains.
    Row("no certificate", "", "", NO_CERTIFICATE, "the vehicle has none"),
    Row("expired", "", "expired", "certificate_expired", "it has expired"),
    Row("not yet valid", "", "not_yet_valid", "bad_certificate", "it is not valid yet"),
    Row("self-signed", "", "self_signed", "unknown_ca", "self-signed and no trust anchor"),
    Row("an authority as leaf", "", "authority", "unsupported_certificate", "not for a TLS client"),
    Row("no digitalSignature", "", "no_signature_usage", "bad_certificate", "not that of a vehicle certificate"),
    Row("serverAuth only", "", "server_only", "unsupported_certificate", "not for a TLS client"),
    Row("role MO, a contract", "", "mobility_operator", "bad_certificate", "domain component MO"),
    Row("role CPO, a station's", "", "charge_point_operator", "bad_certificate", "domain component CPO"),
    Row("four authorities deep", "", "too_long", "bad_certificate", "longer than 3 authorities"),
    Row("a policy its issuer may not give", "", "foreign_policy", "bad_certificate", "claims the certificate policy"),
    Row("leaf of P-256", "", "p256", NO_CERTIFICATE, "none of a kind that the profile strict takes"),
    Row("leaf of P-384", "", "p384", NO_CERTIFICATE, "none of a kind that the profile strict takes"),
    Row("an authority of P-256 above", "", "p256_authority", "bad_certificate", "secp256r1"),
    Row("a root nobody knows", "", "stranger", "unknown_ca", "no trust anchor"),
    Row("the intermediate is missing", "", "alone", "unknown_ca", "the chain is incomplete"),
    Row("revoked", "", "revoked", "certificate_revoked", "is revoked"),
    Row("its authority is revoked", "", "below_revoked", "certificate_revoked", "is revoked"),
    # Profile compat.
    Row("P-256 throughout", "-groups P-256 -sigalgs ECDSA+SHA256", "p256", said="TLSv1.3", evse="compat"),
    Row("no certificate", "", "", said="TLSv1.3", evse="compat"),
    Row("TLS 1.2 only", "-tls1_2", "p256", "protocol_version", "offers no TLS 1.3", evse="compat"),
    Row("suite AES-128 only", "-ciphersuites TLS_AES_128_GCM_SHA256", "p256", NO_SUITE, "no suite", evse="compat"),
    Row("group X25519 only", "-groups X25519", "p256", NO_SUITE, "no group", evse="compat"),
    Row("self-signed", "", "self_signed", "unknown_ca", "self-signed and no trust anchor", evse="compat"),
    Row("role MO, a contract", "", "mobility_operator", "bad_certificate", "domain component MO", evse="compat"),
)  # fmt: skip


@dataclass(frozen=True)
class Made:
    """What came of one handshake."""

    evse: str
    client: str
    name: str
    outcome: str
    alert: str
    log: str


@dataclass
class Report:
    made: list[Made] = field(default_factory=list)

    def write(self, most: int) -> None:
        """Keep it, where that was asked for and nothing was left out."""
        if os.environ.get(KEEP) == "1" and len(self.made) >= most:
            REPORT.write_text(self.text())

    def text(self) -> str:
        version = subprocess.run(["openssl", "version"], capture_output=True, text=True, check=True).stdout.split()[1]
        lines = [
            "# Handshakes with a SECC",
            "",
            f"Written by `{KEEP}=1 pytest -m interop tests/interop/test_handshakes.py`: Python "
            f"{platform.python_version()}, `openssl s_client` {version}, our EVCC by `ssl`.",
            "One station in a process of its own, one EVSE of each profile; certificates of P-521 but where a row says",
            "otherwise. The alert is what the client saw; the log line is the station's, shortened.",
            "",
            "| EVSE | client | offers or shows | outcome | alert | log line |",
            "|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {m.evse} | {m.client} | {m.name} | {m.outcome} | {m.alert or '–'} | {m.log or '–'} |" for m in self.made
        ]
        accepted = sum(m.outcome.startswith("accepted") for m in self.made)
        lines += ["", f"{len(self.made)} handshakes, {accepted} accepted, {len(self.made) - accepted} refused.", ""]
        return "\n".join(lines)
