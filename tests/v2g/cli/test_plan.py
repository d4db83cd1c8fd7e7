"""``v2g-control plan`` against a control server with a canned answer."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from v2g.cli.plan import plan, plan_text
from v2g.clock import ManualClock
from v2g.config.schema import Roles
from v2g.control import messages
from v2g.control.messages_plan import PlanResult, PlanVehicleLine, RelaxationLine
from v2g.control.server import ControlServer, Method, Role

STEPS = 8


def line(**changes: Any) -> PlanVehicleLine:
    fields: dict[str, Any] = {
        "evse_id": "US*V2G*E1", "departs": "07:00", "departs_unix_s": 0.0, "departure_assumed": False,
        "energy_now_wh": 30_000.0, "energy_at_departure_wh": 37_200.0, "target_wh": 48_000.0, "floor_wh": 18_000.0,
        "capacity_wh": 60_000.0, "unserved_wh": 10_800.0, "charged_wh": 12_000.0, "discharged_wh": 4_000.0,
        "power_w": (0.0,) * STEPS, "energy_wh": (30_000.0,) * STEPS,
    }  # fmt: skip
    return PlanVehicleLine(**(fields | changes))


def answer(**changes: Any) -> PlanResult:
    fields: dict[str, Any] = {
        "available": True, "age_s": 95.0, "reason": "vehicle at US*V2G*E1", "starts_unix_s": 1_767_200_400.0,
        "times": tuple(f"{18 + n // 4}:{15 * (n % 4):02d}" for n in range(STEPS)),
        "base_w": (150e3,) * STEPS, "net_w": (-10e3, -20e3, -30e3, -20e3, 5e3, 5e3, 5e3, 5e3),
        "load_w": (140e3, 130e3, 120e3, 130e3, 155e3, 155e3, 155e3, 155e3),
        "hot_spot_c": (80.0, 81.0, 83.5, 82.0, 79.0, 78.0, 77.0, 76.0), "top_oil_c": (65.0,) * STEPS,
        "soc_wh": (30e3, 28e3, 26e3, 24e3, 25e3, 26e3, 27e3, 28.5e3), "rated_va": 250e3, "hot_spot_limit_c": 120.0,
        "top_oil_limit_c": 105.0, "k_limit_pu": 1.5, "loss_of_life_h": 0.42, "rounds": 2, "solve_s": 1.74,
        "vehicles": (line(),),
        "relaxations": (
            RelaxationLine(
                evse_id="US*V2G*E1", what="departure target", order=3, wanted=80.0, reached=62.0, unit="%",
                words="62 % at 07:00 instead of 80 %", because="site limit of 1.0 kW",
            ),
        ),
    }  # fmt: skip
    return PlanResult(**(fields | changes))


class Daemon:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.answer = answer()
        self.server = ControlServer(
            path,
            [Method("plan", Role.VIEWER, messages.NoParams, self._plan)],
            Roles(),
            lambda *args, **fields: None,
            ManualClock(),
        )

    async def _plan(self, params: messages.NoParams, caller: Any) -> PlanResult:
        return self.answer

    async def run(self, *words: str) -> Result:
        environ = {"V2G_SOCKET": str(self.path)}
        return await asyncio.to_thread(CliRunner().invoke, plan, list(words), env=environ)


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    running = Daemon(tmp_path / "control.sock")
    await running.server.start()
    yield running
    await running.server.close()


def squeezed(text: str) -> list[str]:
    return [" ".join(each.split()) for each in text.splitlines()]


async def test_the_day_is_told_by_the_hour_with_vehicles_and_what_cannot_be(daemon: Daemon) -> None:
    result = await daemon.run()
    assert result.exit_code == 0
    lines = squeezed(result.output)
    for expected in (
        "Plan of 18:00, 1 min 35 s old (vehicle at US*V2G*E1), 2 h ahead, solved in 1.7 s",
        "hot spot at most 83.5 °C of 120 °C, at 18:30; the insulation ages by 0.42 h",
        "FROM BASE LOAD VEHICLES LOAD HOT SPOT STORED",
        "18:00 150.00 kW discharge 20.00 kW 130.00 kW 83.5 °C 24.0 kWh",
        "19:00 150.00 kW charge 5.00 kW 155.00 kW 79.0 °C 28.5 kWh",
        "US*V2G*E1 07:00 50 % 62 % 80 % 12.0 kWh 4.0 kWh",
        "WISHES THAT CANNOT BE MET",
        "US*V2G*E1 62 % at 07:00 instead of 80 %: site limit of 1.0 kW",
    ):
        assert expected in lines


def test_no_power_has_a_sign_even_under_reverse_flow() -> None:
    text = plan_text(answer(base_w=(-90e3,) * STEPS, load_w=(-100e3,) * STEPS))
    assert "90.00 kW in reverse" in text
    assert re.search(r"[-−]\s?\d", text) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"relaxations": ()}, None),
        ({"vehicles": ()}, "no vehicles"),
        (
            {"vehicles": (line(capacity_wh=None, departure_assumed=True),)},
            "US*V2G*E1 07:00 (assumed) 30.0 kWh 37.2 kWh",
        ),
        ({"limited_by_deadline": True}, "its deadline ended the search: a better plan may exist"),
        ({"problem": "its process ended with 7"}, "no newer plan: its process ended with 7"),
        ({"notes": ("base load stays",)}, "note: base load stays"),
        (
            {"overload_base_k": 12.34, "overload_k": 3.21},
            "OVERLOAD: base load alone, with its margin, passes a limit by 12.3 K; with this plan by 3.2 K",
        ),
    ],
)
def test_what_is_unusual_is_said_and_nothing_else(changes: dict[str, Any], words: str | None) -> None:
    text = "\n".join(squeezed(plan_text(answer(**changes))))
    if words is None:
        assert "CANNOT BE MET" not in text
    else:
        assert words in text
        assert words not in "\n".join(squeezed(plan_text(answer())))


async def test_json_is_the_daemon_s_answer(daemon: Daemon) -> None:
    result = await daemon.run("--json")
    assert msgspec.convert(json.loads(result.output), PlanResult) == daemon.answer


async def test_without_a_plan_the_command_fails_and_says_why(daemon: Daemon) -> None:
    daemon.answer = PlanResult(available=False, problem="transformer load unknown")
    result = await daemon.run()
    assert result.exit_code == 1
    assert result.output == "v2g-control: there is no plan: transformer load unknown\n"
    told = await daemon.run("--json")
    assert told.exit_code == 1
    assert json.loads(told.stdout)["problem"] == "transformer load unknown"


async def test_without_a_daemon_the_exit_code_is_3(tmp_path: Path) -> None:
    environ = {"V2G_SOCKET": str(tmp_path / "nobody.sock")}
    result = await asyncio.to_thread(CliRunner().invoke, plan, [], env=environ)
    assert result.exit_code == 3


@pytest.mark.parametrize(("name", "begins"), [("day.png", b"\x89PNG"), ("day.svg", b"<?xml")])
async def test_a_picture_is_drawn_beside_the_text(daemon: Daemon, tmp_path: Path, name: str, begins: bytes) -> None:
    pytest.importorskip("matplotlib")
    result = await daemon.run("--plot", str(tmp_path / name))
    assert result.exit_code == 0
    assert (tmp_path / name).read_bytes().startswith(begins)
    assert result.output.splitlines()[-1] == f"Picture: {tmp_path / name}"


async def test_a_picture_of_another_kind_or_place_is_refused(daemon: Daemon, tmp_path: Path) -> None:
    result = await daemon.run("--plot", "day.txt")
    assert result.exit_code == 2
    assert "does not end with .png or .svg" in result.output
    pytest.importorskip("matplotlib")
    lost = await daemon.run("--plot", str(tmp_path / "nowhere" / "day.png"))
    assert lost.exit_code == 1
    assert "name a file in a directory that can be written" in lost.output


async def test_without_matplotlib_the_remedy_is_named(
    daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = await daemon.run("--plot", str(tmp_path / "day.png"))
    assert result.exit_code == 1
    assert "pictures need matplotlib; install v2g-orchestrator[replay]" in result.output


def test_a_plan_that_no_programme_made_says_why() -> None:
    assert "a simpler plan" not in plan_text(answer())
    assert "a simpler plan: the deadline was over" in plan_text(answer(simpler="the deadline was over"))
