"""TLS contexts of both profiles, a perfect EVSE and a port that is free."""

from __future__ import annotations

import socket

import pytest

from pyiso15118.commands import UpdateDcVehicle
from pyiso15118.events import DcLimits
from pyiso15118.security import Curve, server_context, stdlib_server_context
from support.elsewhere import server_context_elsewhere
from support.fleet.parts import EVSE_LIMITS, VEHICLE
from support.stations import COMPAT, STRICT, Contexts, Station

MAKERS = {"pyOpenSSL": server_context, "ssl": stdlib_server_context, "elsewhere": server_context_elsewhere}


@pytest.fixture(scope="module", params=["pyOpenSSL"])
def library(request: pytest.FixtureRequest) -> str:
    """The TLS library of the station; a module that both must pass asks for both."""
    return str(request.param)


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory, library: str) -> Contexts:
    return Contexts(tmp_path_factory.mktemp("strict"), Curve.SECP521R1, STRICT, MAKERS[library])


@pytest.fixture(scope="module")
def compat(tmp_path_factory: pytest.TempPathFactory, library: str) -> Contexts:
    return Contexts(tmp_path_factory.mktemp("compat"), Curve.SECP256R1, COMPAT, MAKERS[library])


@pytest.fixture
def evse_limits() -> DcLimits:
    return EVSE_LIMITS


@pytest.fixture
def vehicle() -> UpdateDcVehicle:
    return VEHICLE


@pytest.fixture
def station(evse_limits: DcLimits) -> Station:
    return Station(limits=evse_limits)


@pytest.fixture
def unused_udp_port() -> int:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.bind(("::1", 0))
        return int(sock.getsockname()[1])
