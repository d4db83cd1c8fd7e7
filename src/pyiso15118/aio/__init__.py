"""The only room with sockets, clock and chance: servers, clients, and one driver for both machines."""

from pyiso15118.aio.client import EvccConnection, connect
from pyiso15118.aio.discovery import Discovered, SdpServer, discover
from pyiso15118.aio.driver import Connection
from pyiso15118.aio.evse import Endpoint, SeccConnection
from pyiso15118.aio.network import Address, NetworkError, local_address
from pyiso15118.aio.server import SeccServer

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
    "connect",
    "discover",
    "local_address",
]
