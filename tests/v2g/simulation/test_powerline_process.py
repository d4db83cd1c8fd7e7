"""The powerline's configuration, its control socket, and how it ends where it cannot run."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pyiso15118.slac.addresses import LOCAL_MODEM
from pyiso15118.slac.frame import ETHERTYPE, Frame, decode_frame, encode_frame
from pyiso15118.slac.messages import CM_SET_KEY_REQ
from v2g.clock import SystemClock
from v2g.hardware.ethernet_port import DatagramPort
from v2g.simulation import powerline
from v2g.simulation.line_client import RequestRefused
from v2g.simulation.powerline import Segment
from v2g.simulation.powerline_client import PowerlineClient
from v2g.simulation.powerline_config import (
    PairConfig,
    PowerlineConfig,
    PowerlineConfigError,
    StationConfig,
    read_config,
)
from v2g.simulation.powerline_modem import JOIN_S

HOSTS = {"EVSE 1": bytes((2, 0, 0, 0, 1, 1)), "vehicle 1": bytes((2, 0, 0, 0, 2, 1))}


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short, as the names of sockets have to be."""
    with tempfile.TemporaryDirectory(prefix="v2g") as name:
        yield Path(name)


def config_of(folder: Path, **fields: Any) -> PowerlineConfig:
    stations = tuple(
        StationConfig(name=name, kind="unix", address=str(folder / f"port{at}"), modem_mac=f"02:00:00:00:50:{at:02x}")
        for at, name in enumerate(HOSTS)
    )
    pairs = (PairConfig(one="EVSE 1", other="vehicle 1", db=8.0),)
    given = {"control_socket": str(folder / "line.sock"), "stations": stations, "pairs": pairs, **fields}
    return PowerlineConfig(**given)


class Rig:
    """A running segment with a host at each station."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.segment = Segment(config_of(folder), SystemClock(), self.said.append)
        self.got: dict[str, list[bytes]] = {name: [] for name in HOSTS}
        self.ports: dict[str, DatagramPort] = {}

    async def start(self) -> None:
        await self.segment.start()
        for at, (name, mac) in enumerate(HOSTS.items()):
            self.ports[name] = DatagramPort(f"unix:{self.folder / f'port{at}'}", mac)
            await self.ports[name].start(self.got[name].append, lambda reason: None)
        await self.until(lambda: all(modem.host_mac in HOSTS.values() for modem in self.stations.values()))

    @property
    def stations(self) -> dict[str, Any]:
        return dict(self.segment.line.stations)

    async def close(self) -> None:
        for port in self.ports.values():
            port.close()
        await self.segment.close()

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(5.0):
            while not condition():
                await asyncio.sleep(0.001)

    async def ask(self, **request: Any) -> dict[str, Any]:
        """By the client, on a thread of its own: it blocks."""

        def blocking() -> dict[str, Any]:
            with PowerlineClient(self.folder / "line.sock") as client:
                return client.ask(**request)

        return await asyncio.to_thread(blocking)

    async def raw(self, line: bytes) -> dict[str, Any]:
        reader, writer = await asyncio.open_unix_connection(str(self.folder / "line.sock"))
        writer.write(line)
        answer: dict[str, Any] = json.loads(await reader.readline())
        writer.close()
        return answer

    def key(self, name: str, nmk: bytes) -> None:
        message = CM_SET_KEY_REQ(nid=bytes(7), new_key=nmk)
        self.ports[name].send(encode_frame(Frame(source=HOSTS[name], destination=LOCAL_MODEM, message=message)))


@pytest.fixture
async def rig(folder: Path) -> AsyncIterator[Rig]:
    made = Rig(folder)
    await made.start()
    yield made
    await made.close()


# ---- control --------------------------------------------------------------------------------------------------------


async def test_it_measures_stations_and_their_networks(rig: Rig) -> None:
    before = (await rig.ask(do="measure"))["measurement"]
    assert [(one["name"], one["host_mac"], one["keyed"], one["network"]) for one in before["stations"]] == [
        (name, mac.hex(":"), False, []) for name, mac in HOSTS.items()
    ]
    for name in HOSTS:
        rig.key(name, b"k" * 16)
    await rig.until(lambda: all(modem.nmk for modem in rig.stations.values()))
    for modem in rig.stations.values():
        modem.keyed_at -= JOIN_S
    after = (await rig.ask(do="measure"))["measurement"]
    assert [one["network"] for one in after["stations"]] == [["vehicle 1"], ["EVSE 1"]]
    assert after["passed"] == before["passed"] + 2


async def test_it_obeys_and_says_what_was_changed(rig: Rig) -> None:
    line = rig.segment.line
    await rig.ask(do="attenuation", one="EVSE 1", other="vehicle 1", db=35)
    assert line.attenuation_db("vehicle 1", "EVSE 1") == 35.0
    await rig.ask(do="loss", share=0.1)
    assert line.loss == 0.1
    await rig.ask(do="plug", station="vehicle 1", plugged=False)
    assert not rig.stations["vehicle 1"].plugged
    await rig.ask(do="answers", station="EVSE 1", answers=False)
    assert not rig.stations["EVSE 1"].answers
    assert sum("now " in said for said in rig.said) == 4
    assert any('"db":35' in said for said in rig.said)


async def test_a_key_that_leaks_makes_a_stranger_a_member(rig: Rig) -> None:
    rig.key("EVSE 1", b"k" * 16)
    await rig.until(lambda: rig.stations["EVSE 1"].nmk)
    await rig.ask(do="leak", source="EVSE 1", to="vehicle 1")
    assert rig.stations["vehicle 1"].nmk == b"k" * 16


async def test_what_it_cannot_do_it_refuses_with_the_reason_and_goes_on(rig: Rig) -> None:
    with pytest.raises(RequestRefused, match="no station 'EVSE 9'; there are EVSE 1, vehicle 1"):
        await rig.ask(do="plug", station="EVSE 9", plugged=False)
    for wrong, reason in (
        ({"do": "dance"}, "dance"),
        ({"do": "loss", "share": 2}, r"<= 1"),
        ({"do": "attenuation", "one": "EVSE 1", "other": "vehicle 1", "db": -1}, ">= 0"),
        ({"do": "noise", "station": "EVSE 1", "per_s": 1e9, "for_s": 1}, "<= 20000"),
        ({"do": "plug", "station": "EVSE 1"}, "plugged"),
    ):
        with pytest.raises(RequestRefused, match=reason):
            await rig.ask(**wrong)
    for line in (b"\n", b"not json\n", b"[1, 2]\n", b"\xff\xfe\n"):
        assert (await rig.raw(line))["ok"] is False
    assert (await rig.ask(do="measure"))["measurement"]["dropped"] == 0


async def test_a_line_without_an_end_costs_its_sender_the_connection_and_nobody_else(rig: Rig) -> None:
    reader, writer = await asyncio.open_unix_connection(str(rig.folder / "line.sock"))
    writer.write(b"x" * 200_000)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    writer.close()
    assert await rig.ask(do="measure")


async def test_noise_comes_to_one_host_at_its_rate_as_frames_of_homeplug(rig: Rig) -> None:
    await rig.ask(do="noise", station="EVSE 1", per_s=5000, for_s=0.1)
    await rig.until(lambda: len(rig.got["EVSE 1"]) >= 300)
    assert rig.got["vehicle 1"] == []
    assert all(data[12:14] == ETHERTYPE.to_bytes(2, "big") and len(data) >= 60 for data in rig.got["EVSE 1"])
    assert len(set(rig.got["EVSE 1"])) > 250


# ---- hosts ----------------------------------------------------------------------------------------------------------


async def test_a_host_s_own_modem_answers_it(rig: Rig) -> None:
    rig.key("EVSE 1", b"k" * 16)
    await rig.until(lambda: rig.got["EVSE 1"])
    assert decode_frame(rig.got["EVSE 1"][0]).source == rig.stations["EVSE 1"].modem_mac


async def test_a_host_that_says_it_is_unplugged_is_off_the_line(rig: Rig) -> None:
    rig.ports["vehicle 1"].send(msgspec.json.encode({"mac": HOSTS["vehicle 1"].hex(":"), "plugged": False}))
    await rig.until(lambda: not rig.stations["vehicle 1"].plugged)
    assert rig.said[-1] == f"vehicle 1: host {HOSTS['vehicle 1'].hex(':')} is off the line"


# ---- where it cannot run --------------------------------------------------------------------------------------------


def test_a_configuration_comes_back_as_it_was_written(folder: Path) -> None:
    path = folder / "line.json"
    path.write_bytes(msgspec.json.encode(config_of(folder, loss=0.1)))
    assert read_config(path) == config_of(folder, loss=0.1)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "truncated"),
        ('{"stations": []}', "control_socket"),
        ('{"control_socket": "x", "stations": [], "los": 1}', "los"),
        ('{"control_socket": "x", "stations": [], "loss": 2}', "<= 1"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_reason(folder: Path, text: str, reason: str) -> None:
    path = folder / "line.json"
    path.write_text(text)
    with pytest.raises(PowerlineConfigError, match=f"{path}: .*{reason}"):
        read_config(path)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"pairs": (PairConfig(one="EVSE 1", other="nobody", db=1.0),)}, "nobody"),
        ({"stations": (StationConfig(name="s", kind="unix", address="a", modem_mac="zz"),)}, "'zz' is no MAC address"),
        (
            {"stations": (StationConfig(name="s", kind="unix", address="a", modem_mac="02:00:00:00:00:01"),) * 2},
            "there",
        ),
    ],
)
def test_stations_that_cannot_be_are_refused(folder: Path, fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(PowerlineConfigError, match=reason):
        Segment(config_of(folder, **{"pairs": (), **fields}), SystemClock(), print)


def test_the_process_ends_with_2_for_its_configuration_and_1_for_a_port(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert powerline.main(["--config", str(folder / "none.json")]) == 2
    assert "none.json" in capsys.readouterr().err
    path = folder / "line.json"
    path.write_bytes(msgspec.json.encode(config_of(folder / "missing")))
    assert powerline.main(["--config", str(path)]) == 1
    assert "station EVSE 1: No such file or directory" in capsys.readouterr().err
