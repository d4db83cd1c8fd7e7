"""What the programs ``stack_station`` and ``stack_vehicle`` share: their job in, their log out.

Both run the package alone, as processes of their own: ``python -m support.stack_station '{"interface": "eth1", …}'``
in the folder of the tests.
"""

from __future__ import annotations

import dataclasses
import enum
import sys
import time
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from pyiso15118.aio import Connection
from pyiso15118.events import AcLimits, AcPower, DcLimits, Event

T = TypeVar("T", bound=msgspec.Struct)

DC_LIMITS = DcLimits(
    max_charge_power_w=22_000,
    max_charge_current_a=60,
    max_voltage_v=500,
    min_voltage_v=150,
    max_discharge_power_w=22_000,
    max_discharge_current_a=60,
)
AC_LIMITS = AcLimits(max_charge_power=AcPower(22_000), max_discharge_power=AcPower(22_000))

_BULKY = ("payload", "contract_chain", "contract", "energy_offer")
"""Fields of events that a log has no use for; messages are left out as well."""


class Tls(msgspec.Struct, frozen=True, kw_only=True):
    """Own chain and key, and the roots that the other side's chain may end in."""

    chain: str
    key: str
    password: str | None = None
    trust: str

    @property
    def files(self) -> tuple[Path, Path, list[Path]]:
        """Chain, key and roots, in the order that contexts take them."""
        return Path(self.chain), Path(self.key), [Path(self.trust)]


def read_job(kind: type[T]) -> T:
    """The job in the first argument."""
    return msgspec.json.decode(sys.argv[1], type=kind)


class EventLog:
    """Every event as one JSON line on standard output: seconds since start, its name, its fields."""

    def __init__(self) -> None:
        self._started_at = time.monotonic()

    def note(self, event: str, **fields: Any) -> None:
        line = {"at_s": round(time.monotonic() - self._started_at, 3), "event": event, **fields}
        print(msgspec.json.encode(line).decode(), flush=True)

    def connected(self, connection: Connection[Any]) -> None:
        peer = connection.peer_identity
        self.note("Connected", cipher=connection.cipher, peer=None if peer is None else peer.common_name)

    def write(self, event: Event) -> None:
        self.note(type(event).__name__, **_fields(event))


def _fields(value: Any) -> dict[str, Any]:
    fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.name not in _BULKY}
    return {name: _plain(item) for name, item in fields.items() if not isinstance(item, msgspec.Struct)}


def _plain(value: Any) -> Any:
    match value:
        case enum.IntEnum():
            return value.name
        case enum.Enum():
            return value.value
        case bytes():
            return value.hex()
        case tuple():
            return [_plain(item) for item in value]
        case _ if dataclasses.is_dataclass(value):
            return _fields(value)
        case _:
            return value
