"""The only room with sockets, clock and chance: servers, clients, and one driver for both machines."""

import importlib
from typing import TYPE_CHECKING

from pyiso15118.aio.discovery import Discovered, SdpServer, discover
from pyiso15118.aio.driver import Connection
from pyiso15118.aio.evse import Endpoint, SeccConnection
from pyiso15118.aio.network import Address, NetworkError, local_address
from pyiso15118.aio.server import SeccServer
from pyiso15118.aio.tap import Tap, Tracer

if TYPE_CHECKING:
    from pyiso15118.aio.client import EvccConnection, connect

_OF_VEHICLES = frozenset({"EvccConnection", "connect"})
"""A station does not load the vehicle's side."""

__all__ = [
    "Address",
    "Connection",
    "Discovered",
    "Endpoint",
    "EvccConnection",
    "NetworkError",
    "SdpServer",
    "SeccConnection",
    "SeccServer",
    "Tap",
    "Tracer",
    "connect",
    "discover",
    "local_address",
]


def __getattr__(name: str) -> object:
    if name not in _OF_VEHICLES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(importlib.import_module("pyiso15118.aio.client"), name)
    return found
