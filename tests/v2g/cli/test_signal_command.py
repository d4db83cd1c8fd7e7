from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from support.kept_log import KeptLog
from v2g.cli.signal import signal
from v2g.clock import ManualClock
from v2g.config.schema import Roles
from v2g.config.schema_utility import Utility
from v2g.control.server import ControlServer
from v2g.orchestrator.utility_api import UtilityApi
from v2g.utility.openadr_ven import VenStatus


class Site:
    """The methods as the daemon has them, behind a socket."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.api = UtilityApi(Utility(), folder / "signals.json", self.clock, KeptLog())
        self.path = folder / "control.sock"
        self.server = ControlServer(self.path, self.api.methods(), Roles(), lambda *_, **__: None, self.clock)

    async def run(self, command: str) -> Result:
        words = command.split()
        return await asyncio.to_thread(CliRunner().invoke, signal, words, env={"V2G_SOCKET": str(self.path)})

    def value(self, name: str) -> float:
        entry = self.api.book.get(name)
        assert entry is not None
        return entry.signal.value


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    made = Site(tmp_path)
    await made.server.start()
    yield made
    await made.server.close()


@pytest.mark.parametrize(
    ("command", "value", "words"),
    [
        ("--kind cap --value 20kW", 20e3, "cap, charge at most 20.00 kW"),
        ("--kind CAP --value 5kW --direction discharge", -5e3, "cap, discharge at least 5.00 kW"),
        ("--kind floor --value 10kW --direction discharge", -10e3, "floor, discharge at most 10.00 kW"),
        ("--kind floor --value 0W", 0.0, "floor, discharge at most 0 W"),
        ("--kind setpoint --value 3kW --direction charge", 3e3, "setpoint, charge 3.00 kW"),
        ("--kind price --value 0.31 --currency eur", 0.31, "price, 0.31 EUR/kWh"),
        ("--kind price --value -0.05", -0.05, "price, -0.05 a kWh"),
        ("--kind carbon --value 240", 240.0, "carbon, 240 g/kWh"),
    ],
)
async def test_what_is_set_is_told_back_in_words(site: Site, command: str, value: float, words: str) -> None:
    result = await site.run(f"set {command} --duration 2h --id x")
    assert (result.exit_code, result.output) == (0, f"signal x: {words}, for 2 h 0 min\n")
    assert site.value("x") == value


async def test_a_signal_may_begin_later(site: Site) -> None:
    result = await site.run("set --kind cap --value 1kW --duration 1h --at 2023-11-14T23:13:20+00:00")
    assert result.output == "signal s1: cap, charge at most 1.00 kW, in 1 h 0 min for 1 h 0 min\n"


async def test_a_list_shows_signals_what_they_mean_together_and_the_vtn(site: Site) -> None:
    assert (await site.run("list")).output == "there are no signals\n"
    await site.run("set --kind cap --value 20kW --duration 2h --id evening")
    await site.run("set --kind setpoint --value 4kW --direction discharge --duration 1h --id aim")
    lines = (await site.run("list")).output.splitlines()
    assert lines[0].split() == ["ID", "KIND", "ASKS", "FOR", "HOLDS", "SOURCE"]
    assert lines[1].startswith("aim      setpoint  discharge 4.00 kW        for 1 h 0 min  utility by ")
    assert lines[3].startswith("now: charge at most 20.00 kW (for 2 h 0 min, utility by ")
    assert lines[4].startswith("now: aim at discharge 4.00 kW (utility by ")
    site.api.ven = type("Ven", (), {})()  # type: ignore[assignment]
    site.api.ven.status = VenStatus(  # type: ignore[union-attr]
        url="https://vtn.example", ven_name="t12", last_answer_unix_s=site.clock.unix_s() - 60, error="status 500",
        notes=("payload type CURVE is not followed",),
    )  # fmt: skip
    assert (await site.run("list")).output.splitlines()[-3:] == [
        "OpenADR https://vtn.example as t12: answered 1 min ago, 0 events, 0 signals",
        "OpenADR: status 500",
        "OpenADR: payload type CURVE is not followed",
    ]


async def test_a_contradiction_is_shown_as_no_power(site: Site) -> None:
    await site.run("set --kind cap --value 5kW --duration 1h")
    result = await site.run("set --kind floor --value 9kW --direction charge --duration 1h")
    assert "no power until one of them ends" in result.output
    assert "now: no power (for 1 h 0 min, contradiction: " in (await site.run("list")).output


async def test_withdraw_ends_it_and_an_unknown_id_is_exit_code_1(site: Site) -> None:
    await site.run("set --kind cap --value 20kW --duration 2h --id evening")
    result = await site.run("withdraw evening")
    assert (result.exit_code, result.output) == (0, "withdrawn: signal evening: cap, charge at most 20.00 kW\n")
    result = await site.run("withdraw evening")
    assert (result.exit_code, "there is no signal 'evening'" in result.output) == (1, True)
    result = await site.run("withdraw evening --json")
    assert json.loads(result.stdout)["error"]["code"] == "UNKNOWN_SIGNAL"


async def test_json_is_the_daemons_answer(site: Site) -> None:
    answer = json.loads((await site.run("set --kind cap --value 20kW --duration 2h --json")).stdout)
    assert (answer["signal"]["id"], answer["signal"]["value"]) == ("s1", 20e3)
    listed: dict[str, Any] = json.loads((await site.run("list --json")).stdout)
    assert (listed["total"], listed["bounds"][0]["hi_w"], listed["bounds"][0]["lo_w"]) == (1, 20e3, None)


async def test_a_refusal_is_exit_code_1_with_its_remedy(site: Site) -> None:
    result = await site.run("set --kind cap --value 20kW --duration 3d")
    assert result.exit_code == 1
    assert "utility.longest_signal_s" in result.output


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("set --kind cap --value 20 --duration 1h", "20kW or 20W?"),
        ("set --kind floor --value 20kW --duration 1h", "--direction is missing"),
        ("set --kind price --value 20kW --duration 1h", "is no number"),
        ("set --kind carbon --value 20 --direction charge --duration 1h", "has no --direction"),
        ("set --kind cap --value 20kW", "--duration"),
        ("set --kind cap --value 20kW --duration 60", "60min or 60s?"),
        ("set --kind cap --value 20kW --duration 1h --at noon", "is no time"),
        ("set --kind cap --value 20kW --duration 1h --at 2026-01-31T18:00", "has no offset"),
        ("set --kind cap --value 20kW --duration 1h --id a/b", "--id takes letters"),
        ("set --kind fly --value 20kW --duration 1h", "'fly' is not one of"),
    ],
)
def test_what_cannot_be_meant_is_exit_code_2(command: str, words: str) -> None:
    result = CliRunner().invoke(signal, command.split(), env={"V2G_SOCKET": "/nowhere"})
    assert result.exit_code == 2
    assert words in result.output


def test_without_a_daemon_the_exit_code_is_3(tmp_path: Path) -> None:
    for command in ("list", "withdraw x", "set --kind cap --value 1kW --duration 1h"):
        result = CliRunner().invoke(signal, [*command.split(), "--socket", str(tmp_path / "control.sock")])
        assert result.exit_code == 3
