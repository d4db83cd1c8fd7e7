"""The client against a VTN in a process of its own, over TLS on loopback."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from support.modbus_peer import Ca
from support.vtn import Vtn, running
from v2g.clock import ManualClock
from v2g.host.bounded_http import Answer, ExchangeError
from v2g.utility.openadr_client import Account, VtnClient, VtnError
from v2g.utility.openadr_http import Exchanger, read_secret, split_url, tls_context

NAME = "transformer-12"
GHG = {
    "intervalPeriod": {"start": "2023-02-10T00:00:00Z", "duration": "PT1H"},
    "intervals": [{"id": 0, "payloads": [{"type": "GHG", "values": [1]}]}],
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    ca = Ca(tmp_path_factory.mktemp("vtn"))
    return (*ca.issue("vtn"), ca.pem)


@pytest.fixture(scope="module", params=["3.0.1", "3.1.1"])
def vtn(request: pytest.FixtureRequest, files: tuple[Path, Path, Path]) -> Iterator[Vtn]:
    with running(request.param, files) as made:
        yield made


@pytest.fixture(scope="module")
def vtn_31(files: tuple[Path, Path, Path]) -> Iterator[Vtn]:
    with running("3.1.1", files) as made:
        yield made


@pytest.fixture(autouse=True)
def clean(request: pytest.FixtureRequest) -> None:
    for name in ("vtn", "vtn_31"):
        if name in request.fixturenames:
            made: Vtn = request.getfixturevalue(name)
            made.tell(wipe=True)


def client_of(vtn: Vtn, ca: Path | None, timeout_s: float = 5.0, **changes: str) -> tuple[VtnClient, ManualClock]:
    clock = ManualClock()
    fields = {"client_id": "ven", "secret": "ven-secret", "ven_name": NAME}
    account = Account(**{"url": vtn.url, **fields, **changes})
    return VtnClient(account, Exchanger(tls_context(str(ca) if ca else ""), timeout_s), clock), clock


@pytest.fixture
def ca(files: tuple[Path, Path, Path]) -> Path:
    return files[2]


def test_it_registers_once_and_finds_its_record_again(vtn: Vtn, ca: Path) -> None:
    client, _ = client_of(vtn, ca)
    assert client.poll().events == ()
    (record,) = vtn.bl("GET", "/vens")
    assert (record["venName"], record["id"]) == (NAME, client.ven_id)
    again, _ = client_of(vtn, ca)
    again.poll()
    assert again.ven_id == client.ven_id
    assert len(vtn.bl("GET", "/vens")) == 1


def test_events_come_change_and_go(vtn: Vtn, ca: Path) -> None:
    program = vtn.create("programs", programName="caps")
    key = vtn.create("events", programID=program, **GHG)
    client, _ = client_of(vtn, ca)
    (event,) = client.poll().events
    assert (event.id, event.program_id, event.priority) == (key, program, None)
    vtn.change("events", key, priority=1)
    (changed,) = client.poll().events
    assert changed.priority == 1
    assert changed.modified != event.modified
    vtn.delete("events", key)
    assert client.poll().events == ()


def test_a_program_narrows_what_is_followed_and_must_be_there(vtn: Vtn, ca: Path) -> None:
    mine, other = vtn.create("programs", programName="caps"), vtn.create("programs", programName="prices")
    wanted = vtn.create("events", programID=mine, **GHG)
    vtn.create("events", programID=other, **GHG)
    client, _ = client_of(vtn, ca, program="caps")
    assert [event.id for event in client.poll().events] == [wanted]
    client, _ = client_of(vtn, ca, program="nothing")
    with pytest.raises(VtnError, match=r"no program 'nothing' \(but 'caps', 'prices'\)"):
        client.poll()


def test_all_pages_are_read(vtn: Vtn, ca: Path) -> None:
    program = vtn.create("programs", programName="many")
    keys = {vtn.create("events", programID=program, **GHG) for _ in range(60)}
    client, _ = client_of(vtn, ca)
    assert {event.id for event in client.poll().events} == keys


def test_what_has_targets_is_asked_for_with_those_that_were_granted(vtn_31: Vtn, ca: Path) -> None:
    client, _ = client_of(vtn_31, ca)
    client.poll()
    program = vtn_31.create("programs", programName="caps", targets=["feeder-7"])
    keys = [vtn_31.create("events", programID=program, targets=t, **GHG) for t in (["feeder-7"], ["feeder-8"], None)]
    assert [event.id for event in client.poll().events] == [keys[2]]
    vtn_31.change("vens", client.ven_id, targets=["feeder-7"])
    polled = client.poll()
    assert {event.id for event in polled.events} == {keys[0], keys[2]}
    assert polled.targets == {"feeder-7"}
    assert set(polled.programs) == {program}


def test_a_token_is_renewed_before_it_expires_and_once_when_it_is_refused(vtn_31: Vtn, ca: Path) -> None:
    client, clock = client_of(vtn_31, ca)
    vtn_31.tell(told_life_s=1000.0)
    client.poll()
    client.poll()
    assert [r for r in vtn_31.requests() if "token" in r] == ["POST /auth/token"]
    clock.advance(800.0)
    client.poll()
    assert len([r for r in vtn_31.requests() if "token" in r]) == 2
    vtn_31.tell(forget_tokens=True)
    client.poll()
    assert vtn_31.requests()[:3] == ["GET /vens?skip=0&limit=50", "POST /auth/token", "GET /vens?skip=0&limit=50"]


def test_where_tokens_are_had_elsewhere_the_vtn_is_asked_for_the_place(vtn_31: Vtn, ca: Path) -> None:
    vtn_31.break_down("404", "/auth/token")
    client, _ = client_of(vtn_31, ca)
    client.poll()
    assert vtn_31.requests()[:3] == ["POST /auth/token", "GET /auth/server", "POST /oauth/token"]
    client, _ = client_of(vtn_31, ca)
    vtn_31.break_down("404", "/auth")
    with pytest.raises(VtnError, match=r"set utility\.openadr\.token_url"):
        client.poll()


def test_a_place_for_tokens_that_is_not_encrypted_gets_no_secret() -> None:
    asked: list[str] = []

    class Told:
        def exchange(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
            asked.append(f"{method} {url}")
            if url.endswith("/auth/server"):
                return Answer(200, {}, b'{"tokenURL": "http://elsewhere.example/token"}')
            return Answer(404, {}, b"")

    account = Account(url="https://vtn.example", client_id="ven", secret="hush", ven_name=NAME)
    with pytest.raises(VtnError, match="is not encrypted"):
        VtnClient(account, Told(), ManualClock()).poll()
    assert asked == ["POST https://vtn.example/auth/token", "GET https://vtn.example/auth/server"]


def test_a_wrong_secret_names_the_settings_and_never_the_secret(vtn_31: Vtn, ca: Path) -> None:
    client, _ = client_of(vtn_31, ca, secret="hush")
    with pytest.raises(VtnError, match=r"invalid_client: unknown client or wrong secret.*client_secret_file") as caught:
        client.poll()
    assert "hush" not in str(caught.value)
    assert "hush" not in repr(client._account)


def test_a_name_that_another_client_has_is_told(vtn_31: Vtn, ca: Path) -> None:
    vtn_31.create("vens", objectType="BL_VEN_REQUEST", clientID="stranger", venName=NAME)
    client, _ = client_of(vtn_31, ca)
    with pytest.raises(VtnError, match=r"belongs to another client: choose another utility\.openadr\.ven_name"):
        client.poll()


def test_without_the_right_to_register_events_are_followed_all_the_same(vtn_31: Vtn, ca: Path) -> None:
    key = vtn_31.create("events", programID=vtn_31.create("programs", programName="caps"), **GHG)
    vtn_31.break_down("403", "/vens")
    client, _ = client_of(vtn_31, ca)
    polled = client.poll()
    assert [event.id for event in polled.events] == [key]
    assert "this VEN is not registered" in polled.notes[0]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("500", r"GET /events: status 500 \(refused: told to\)"),
        ("404", "check utility.openadr.url"),
        ("401", "may not do this"),
        ("malformed", "no list of events as OpenADR 3 has it"),
        ("no list", "no list of events"),
        ("deep", "no list of events"),
        ("huge", "larger than 4 MiB"),
        ("cut", "GET https://127.0.0.1:[0-9]+/events: "),
        ("redirect", "redirects are not followed"),
    ],
)
def test_a_vtn_that_misbehaves_is_an_error_of_words_and_recovers(vtn_31: Vtn, ca: Path, fault: str, words: str) -> None:
    client, _ = client_of(vtn_31, ca)
    vtn_31.break_down(fault)
    with pytest.raises((VtnError, ExchangeError), match=words):
        client.poll()
    vtn_31.tell()
    assert client.poll().events == ()


@pytest.mark.parametrize("fault", ["slow", "slow, last"])
def test_octets_that_drip_do_not_hold_it_longer_than_the_timeout(vtn_31: Vtn, ca: Path, fault: str) -> None:
    client, _ = client_of(vtn_31, ca, timeout_s=0.4)
    vtn_31.break_down(fault)
    began_s = time.monotonic()
    with pytest.raises(ExchangeError, match=r"no whole answer within 0\.4 s"):
        client.poll()
    assert time.monotonic() - began_s < 25.0, "the whole answer would take 50 s"


def test_closing_wakes_a_request_that_waits(vtn_31: Vtn, ca: Path) -> None:
    exchanger = Exchanger(tls_context(str(ca)), 30.0)
    vtn_31.break_down("slow", "/slow")
    errors: list[str] = []

    def ask() -> None:
        try:
            exchanger.exchange("GET", f"{vtn_31.url}/slow", {})
        except ExchangeError as error:
            errors.append(str(error))

    thread = threading.Thread(target=ask)
    thread.start()
    while "GET /slow" not in vtn_31.requests():
        time.sleep(0.01)
    exchanger.close()
    thread.join(5.0)
    assert not thread.is_alive()
    assert len(errors) == 1
    with pytest.raises(ExchangeError, match="is stopping"):
        exchanger.exchange("GET", vtn_31.url, {})


def test_a_certificate_of_another_authority_is_refused(vtn_31: Vtn, tmp_path: Path) -> None:
    client, _ = client_of(vtn_31, Ca(tmp_path, "stranger").pem)
    with pytest.raises(ExchangeError, match=r"certificate is not accepted .*: see utility\.openadr\.ca"):
        client.poll()
    assert tls_context("").verify_mode is ssl.CERT_REQUIRED


def test_nobody_there_is_told() -> None:
    exchanger = Exchanger(tls_context(""), 1.0)
    with pytest.raises(ExchangeError, match=r"GET http://127\.0\.0\.1:1/events: Connection refused"):
        exchanger.exchange("GET", "http://127.0.0.1:1/events?skip=0", {})


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://vtn.example/openadr3", "not encrypted"),
        ("ftp://vtn.example", "is no URL of a VTN"),
        ("https://", "is no URL of a VTN"),
        ("https://user:pw@vtn.example/", "without user"),
        ("https://vtn.example/?x=1", "without user"),
        ("https://vtn.example:99999/", "ort"),
    ],
)
def test_a_url_that_gives_the_secret_away_or_cannot_be_meant_is_refused(url: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        split_url(url)
    assert "pw" not in str(caught.value)


def test_http_is_for_this_host_only() -> None:
    for host in ("localhost", "127.0.0.1", "[::1]"):
        assert split_url(f"http://{host}:8080/openadr3").port == 8080


def test_a_secret_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("hush\n")
    path.chmod(0o600)
    assert read_secret(path) == "hush"
    path.chmod(0o640)
    with pytest.raises(ValueError, match=f"chmod 600 {path}"):
        read_secret(path)
    path.chmod(0o600)
    path.write_text("\n")
    with pytest.raises(ValueError, match="takes one secret"):
        read_secret(path)
    with pytest.raises(ValueError, match="cannot be read"):
        read_secret(tmp_path / "nothing")
