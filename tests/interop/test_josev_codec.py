"""EcoG's vehicle charges at EcoG's station, both on our codec, without Java."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support import josev_report
from support.ecog import Cell, Namespaces, PeerKit
from support.josev_pair import Pair, Session

pytestmark = pytest.mark.interop

MANY, SOME = 200, 30
ATTEMPTS = 3


@pytest.fixture
def pair(peer_kit: PeerKit, namespaces: Namespaces, tmp_path: Path, programs: list[Any]) -> Pair:
    return Pair(peer_kit, namespaces, tmp_path, programs)


@pytest.fixture(scope="module")
def kept() -> list[tuple[str, Session]]:
    """Sessions that other tests of this file have run, for the report; it is written with those that there are."""
    return []


def without_java(session: Session) -> None:
    for side in session.sides:
        report = side.report
        assert report["version"].startswith("pyiso15118 ")
        assert (report["java"], report["gateway"], report["started"]) == (None, False, [])


def whole(session: Session, pairs: int) -> None:
    """Every message of the session went through the codecs, from the handshake to the end."""
    loop = "AC_ChargeLoop" if session.cell.ac else "DC_ChargeLoop"
    assert session.pairs > pairs
    for name in ("supportedAppProtocol", "SessionSetup", "ScheduleExchange", "PowerDelivery", "SessionStop", loop):
        requests = session.vehicle.count(f"encode {name}Req")
        assert session.station.count(f"decode {name}Req") == requests >= 1
        assert session.station.count(f"encode {name}Res") == session.vehicle.count(f"decode {name}Res") == requests


@pytest.mark.parametrize(
    "cell",
    [
        Cell("AC_BPT", "dynamic", False),
        Cell("AC", "scheduled", True),
        Cell("DC", "dynamic", False),
        Cell("DC_BPT", "scheduled", True),
    ],
    ids=str,
)
def test_both_sides_on_our_codec_come_through(cell: Cell, pair: Pair, kept: list[tuple[str, Session]]) -> None:
    session = pair.session(cell, vehicle="ours", station="ours", pairs=SOME)

    whole(session, SOME)
    without_java(session)
    kept.append(("ours, ours", session))


@pytest.mark.parametrize(("vehicle", "station"), [("ours", "ours"), ("ours", "theirs"), ("theirs", "ours")])
def test_a_contract_is_signed_with_one_codec_and_verified_with_the_other(
    vehicle: str, station: str, pair: Pair, kept: list[tuple[str, Session]]
) -> None:
    cell = Cell("DC_BPT", "dynamic", True)

    session = some_attempt(pair, cell, vehicle=vehicle, station=station, pairs=SOME, contract=True)[0]

    whole(session, SOME)
    signed = ["PnC_AReqAuthorizationMode", "SignedInfo"]
    assert session.signed() == {"vehicle": signed, "station": signed}
    if vehicle == station == "ours":
        without_java(session)
    kept.append((f"{vehicle}, {station}".replace("theirs", "EcoG's"), session))


def test_a_charge_loop_pair_on_our_codec_takes_a_fraction_of_what_it_takes_on_theirs(
    pair: Pair, kept: list[tuple[str, Session]]
) -> None:
    cell = Cell("DC_BPT", "dynamic", False)

    ours = pair.session(cell, vehicle="ours", station="ours", pairs=MANY)
    theirs, attempts = some_attempt(pair, cell, vehicle="theirs", station="theirs", pairs=MANY)

    for session in (ours, theirs):
        whole(session, MANY)
    without_java(ours)
    for side in theirs.sides:
        assert side.report["gateway"]
        assert any("java" in program for program in side.report["started"])
    josev_report.write(ours, theirs, attempts, kept)


def some_attempt(pair: Pair, cell: Cell, **options: Any) -> tuple[Session, int]:
    """A session and which attempt it was: with Java on a busy machine, some run into the stack's own timeouts."""
    for attempt in range(1, ATTEMPTS):
        try:
            return pair.session(cell, wait_s=120, **options), attempt
        except AssertionError:
            if "theirs" not in options.values():
                raise
    return pair.session(cell, wait_s=120, **options), ATTEMPTS
