"""What each stable code of the logs means, what the daemon does then, and what a person is to do. Light to import.

Codes are those of the guard, of power quality, of the history, of commissioning, of orders that get less, of plans and
schedules, of meters, of powerline links, of the mesh, of the utility and of the audit log; :data:`ENTRIES` has each
once.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from v2g.telemetry.catalogue_audit import AUDIT
from v2g.telemetry.catalogue_commissioning import COMMISSIONING
from v2g.telemetry.catalogue_devices import DEVICES
from v2g.telemetry.catalogue_entry import Entry
from v2g.telemetry.catalogue_firewall import FIREWALL
from v2g.telemetry.catalogue_guard import GUARD
from v2g.telemetry.catalogue_history import HISTORY
from v2g.telemetry.catalogue_mesh import MESH
from v2g.telemetry.catalogue_meters import METERS
from v2g.telemetry.catalogue_orders import ORDERS
from v2g.telemetry.catalogue_pki import CERTIFICATES
from v2g.telemetry.catalogue_plans import PLANS
from v2g.telemetry.catalogue_plc import PLC
from v2g.telemetry.catalogue_quality import QUALITY
from v2g.telemetry.catalogue_revocation import REVOCATION
from v2g.telemetry.catalogue_tls import TLS
from v2g.telemetry.catalogue_token import TOKEN
from v2g.telemetry.catalogue_trips import TRIPS
from v2g.telemetry.catalogue_utility import UTILITY

ENTRIES: tuple[Entry, ...] = (
    *TRIPS,
    *GUARD,
    *QUALITY,
    *ORDERS,
    *PLANS,
    *DEVICES,
    *METERS,
    *UTILITY,
    *HISTORY,
    *COMMISSIONING,
    *AUDIT,
    *FIREWALL,
    *CERTIFICATES,
    *REVOCATION,
    *TOKEN,
    *TLS,
    *PLC,
    *MESH,
)

_CLOSE_MATCHES = 3


def find(text: str) -> Entry | None:
    """By code or by the words that people see, in any case: ``ov2``, ``Phase Mismatch``, ``50 feeder``."""
    return _BY_WORD.get(_plain(text))


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
