"""What each stable code of the logs means, what the daemon does then, and what a person is to do. Light to import.

Every code that one of our processes may write into a log is in :data:`ENTRIES`, once; a test reads the sources for
them.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from v2g.telemetry.catalogue_audit import AUDIT
from v2g.telemetry.catalogue_commissioning import COMMISSIONING
from v2g.telemetry.catalogue_config import CONFIGURATION
from v2g.telemetry.catalogue_daemon import DAEMON
from v2g.telemetry.catalogue_der import DER
from v2g.telemetry.catalogue_devices import DEVICES
from v2g.telemetry.catalogue_entry import Entry
from v2g.telemetry.catalogue_firewall import FIREWALL
from v2g.telemetry.catalogue_firmware import FIRMWARE
from v2g.telemetry.catalogue_guard import GUARD
from v2g.telemetry.catalogue_history import HISTORY
from v2g.telemetry.catalogue_mesh import MESH
from v2g.telemetry.catalogue_meters import METERS
from v2g.telemetry.catalogue_metrics import METRICS
from v2g.telemetry.catalogue_orders import ORDERS
from v2g.telemetry.catalogue_pki import CERTIFICATES
from v2g.telemetry.catalogue_plans import PLANS
from v2g.telemetry.catalogue_plc import PLC
from v2g.telemetry.catalogue_preflight import PREFLIGHT
from v2g.telemetry.catalogue_quality import QUALITY
from v2g.telemetry.catalogue_refusals import REFUSALS
from v2g.telemetry.catalogue_revocation import REVOCATION
from v2g.telemetry.catalogue_sessions import SESSIONS
from v2g.telemetry.catalogue_tls import TLS
from v2g.telemetry.catalogue_token import TOKEN
from v2g.telemetry.catalogue_trips import TRIPS
from v2g.telemetry.catalogue_utility import UTILITY

ENTRIES: tuple[Entry, ...] = (
    *TRIPS,
    *GUARD,
    *QUALITY,
    *CONFIGURATION,
    *ORDERS,
    *PLANS,
    *DEVICES,
    *DER,
    *METERS,
    *UTILITY,
    *HISTORY,
    *COMMISSIONING,
    *AUDIT,
    *FIREWALL,
    *FIRMWARE,
    *CERTIFICATES,
    *REVOCATION,
    *TOKEN,
    *TLS,
    *PLC,
    *SESSIONS,
    *MESH,
    *PREFLIGHT,
    *METRICS,
    *DAEMON,
    *REFUSALS,
)

_CLOSE_MATCHES = 3
_AFTER_LEVEL = re.compile(r"\b(?:info|warning|error):\s+([A-Za-z0-9_.:-]+)", re.IGNORECASE)
_CODES = re.compile(r"0[xX][0-9A-Fa-f]{4}\b|\b[A-Z][A-Z0-9_]{3,}\b|\b[A-Za-z0-9]+(?:_[A-Za-z0-9]+)+\b")


def find(text: str) -> Entry | None:
    """By code or by the words that people see, in any case: ``ov2``, ``Phase Mismatch``, ``50 feeder``.

    Of a whole line of a log or of the journal, pasted, that of its code.
    """
    entry = _BY_WORD.get(_plain(text))
    if entry is not None:
        return entry
    if match := _AFTER_LEVEL.search(text):
        return _BY_WORD.get(_plain(match[1]))
    words = (_BY_WORD.get(_plain(word)) for word in _CODES.findall(text))
    return next((word for word in words if word is not None), None)


def suggestions(text: str) -> tuple[str, ...]:
    """Codes that look like ``text``, best first."""
    close = difflib.get_close_matches(_plain(text), _BY_WORD, _CLOSE_MATCHES, 0.6)
    within = [word for word in _BY_WORD if len(text) > 2 and _plain(text) in word]
    return tuple(_unique(_BY_WORD[word].code for word in [*close, *within]))[:_CLOSE_MATCHES]


def _unique(values: Iterable[str]) -> Iterable[str]:
    return dict.fromkeys(values)


def _plain(text: str) -> str:
    return " ".join(text.replace("_", " ").replace("-", " ").lower().split())


_BY_WORD = {_plain(word): entry for entry in ENTRIES for word in (entry.code, *entry.also)}
