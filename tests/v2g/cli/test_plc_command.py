"""``v2g-tool plc`` as a person, a pipe and a program see it."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from v2g.cli import plc
from v2g.cli.plc_text import plc_text
from v2g.control.messages_plc import PlcAttenuation, PlcLine, PlcMatching, PlcModem, PlcResult, PlcState
from v2g.control.server import Refused

E1, E2 = "US*V2G*E1", "US*V2G*E2"
CAR = "02:00:00:00:00:01"
NOON = 1_795_780_800.0
GROUPS = tuple(12.0 if number < 50 else 27.5 for number in range(58))
ATTENUATION = PlcAttenuation(average_db=sum(GROUPS) / 58, groups_db=GROUPS, sounds=10, at_unix_s=NOON)
LINKED = PlcLine(
    evse_id=E1, interface="evse1", state=PlcState.LINKED, vehicle_mac=CAR, since_unix_s=NOON + 4,
    attenuation=ATTENUATION, modem=PlcModem(mac="00:01:87:00:00:01", version="MAC-QCA7000-1.1.0"), nid="02aabbccddeeff",
    tx_mbps=9.14, rx_mbps=8.7, packet_loss=0.0012, signal_db=-23.0,
    history=(
        PlcMatching(at_unix_s=NOON - 60, vehicle_mac="02:00:00:00:00:02", outcome="failed", step="CM_MNBC_SOUND",
                    reason="3 of 10 sounds came", took_s=1.24),
        PlcMatching(at_unix_s=NOON + 4, vehicle_mac=CAR, outcome="linked", average_db=14.14, took_s=4.2),
    ),
)  # fmt: skip
MUTE = PlcLine(evse_id=E2, interface="evse2", state=PlcState.NO_MODEM, problem="its modem does not answer")


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


async def test_all_links_are_a_row_each_with_what_is_wrong_below(site_daemon: Any) -> None:
    site_daemon.answers["plc"] = PlcResult(evses=(LINKED, MUTE))
    result = await site_daemon.run("plc", tool_too=True)
    head, one, two, *remarks = result.output.splitlines()
    assert cells(head) == ["EVSE", "STATE", "VEHICLE", "dB", "Mbit/s", "LOSS"]
    assert cells(one) == [E1, "linked", CAR, "14.1", "9.14/8.7", "0.12 %"]
    assert cells(two) == [E2, "no modem", "-", "-", "-", "-"]
    assert remarks == [f"{E1}: modem 00:01:87:00:00:01 MAC-QCA7000-1.1.0", f"{E2}: its modem does not answer"]
    assert result.exit_code == 0
    assert site_daemon.received[-1].evse_id is None


async def test_one_evse_is_told_in_detail(site_daemon: Any) -> None:
    site_daemon.answers["plc"] = PlcResult(evses=(LINKED,))
    for command in ("plc", f"plc --evse {E1}"):
        lines = (await site_daemon.run(command, tool_too=True)).output.splitlines()
        assert f"{E1} at evse1: linked since 2026-11-27 12:00:04 UTC, network 02aabbccddeeff" in lines
        assert "The vehicle's modem is heard at -23 dB of full power." in lines
        assert "Attenuation 14.1 dB on average, of 10 sounds at 2026-11-27 12:00:00 UTC" in lines
        newest, failed, reason = lines[-3:]
        assert cells(newest) == ["2026-11-27 12:00:04", CAR, "linked", "-", "14.1", "4.2"]
        assert cells(failed) == ["2026-11-27 11:59:00", "02:00:00:00:00:02", "failed", "CM_MNBC_SOUND", "-", "1.2"]
        assert reason == "  3 of 10 sounds came"
    assert site_daemon.received[-1].evse_id == E1


def test_a_failure_without_a_vehicle_and_rates_that_are_told_one_way_only() -> None:
    line = PlcLine(
        evse_id=E1, interface="evse1", state=PlcState.WAITING, tx_mbps=9.0,
        history=(PlcMatching(at_unix_s=NOON, vehicle_mac="", outcome="failed", step="CM_SLAC_PARM", reason="silence"),),
    )  # fmt: skip
    text = plc_text(PlcResult(evses=(line,)), in_detail=True)
    assert cells(text.splitlines()[1])[-2:] == ["9/?", "-"]
    assert cells(text.splitlines()[-2]) == ["2026-11-27 12:00:00", "-", "failed", "CM_SLAC_PARM", "-", "-"]
    assert "No vehicle's sounds were measured here yet." in text


async def test_json_is_the_answer(site_daemon: Any) -> None:
    site_daemon.answers["plc"] = PlcResult(evses=(LINKED,))
    result = await site_daemon.run("plc --json", tool_too=True)
    (line,) = json.loads(result.output)["evses"]
    assert (line["state"], line["packet_loss"], len(line["attenuation"]["groups_db"])) == ("linked", 0.0012, 58)


async def test_what_the_daemon_refuses_ends_with_1_in_its_words(site_daemon: Any) -> None:
    site_daemon.answers["plc"] = Refused(f"there is no EVSE 'E9'; there are {E1}, {E2}", code="UNKNOWN_EVSE")
    result = await site_daemon.run("plc --evse E9", tool_too=True)
    assert result.exit_code == 1
    assert result.stderr == f"v2g-tool: there is no EVSE 'E9'; there are {E1}, {E2}\n"


async def test_a_driver_that_does_not_tell_ends_with_1_and_what_was_known_is_shown(site_daemon: Any) -> None:
    site_daemon.answers["plc"] = PlcResult(evses=(MUTE,), problem="kplc-driver is silent")
    result = await site_daemon.run("plc", tool_too=True)
    assert result.exit_code == 1
    assert result.output.startswith("kplc-driver is silent\n\nEVSE")
    site_daemon.answers["plc"] = PlcResult(evses=(), problem="no EVSE of this site has a powerline link")
    result = await site_daemon.run("plc", tool_too=True)
    assert (result.exit_code, result.output) == (1, "no EVSE of this site has a powerline link\n")


async def test_without_a_daemon_it_ends_with_3(site_daemon: Any, tmp_path: Path) -> None:
    result = await site_daemon.run(f"plc --socket {tmp_path / 'nowhere'}", tool_too=True)
    assert result.exit_code == 3


async def test_a_watch_into_a_pipe_tells_only_what_is_news_and_ends_with_the_daemon(
    site_daemon: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = iter([LINKED, LINKED, MUTE, MUTE])

    def next_look(seconds: float = 0.0) -> None:
        line = next(looks, None)
        site_daemon.answers["plc"] = Refused("enough") if line is None else PlcResult(evses=(line,))

    next_look()
    monkeypatch.setattr(time, "sleep", next_look)
    result = await site_daemon.run("plc --watch", tool_too=True)
    assert len(site_daemon.received) == 5
    assert result.stdout.count("EVSE  ") == 2
    assert result.stdout.count(" no modem") == 2, "in the table and in detail, once"
    assert "\x1b" not in result.stdout
    assert (result.exit_code, result.stderr) == (1, "v2g-tool: enough\n")


async def test_a_watch_as_json_is_a_line_a_change(site_daemon: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([LINKED, LINKED, MUTE])

    def next_look(seconds: float = 0.0) -> None:
        line = next(looks, None)
        if line is None:
            raise KeyboardInterrupt
        site_daemon.answers["plc"] = PlcResult(evses=(line,))

    next_look()
    monkeypatch.setattr(time, "sleep", next_look)
    result = await site_daemon.run("plc --watch --json", tool_too=True)
    told = [json.loads(line)["evses"][0]["state"] for line in result.output.splitlines()]
    assert told == ["linked", "no modem"]
    assert result.exit_code == 0, "Ctrl-C is how a watch ends"


async def test_a_watch_on_a_terminal_takes_the_place_of_what_was_there(
    site_daemon: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cleared: list[None] = []
    naps: list[float] = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            raise KeyboardInterrupt

    site_daemon.answers["plc"] = PlcResult(evses=(MUTE,), problem="silent")
    monkeypatch.setattr(time, "sleep", nap)
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda self: True, raising=False)
    monkeypatch.setattr("click.clear", lambda: cleared.append(None))
    result = await site_daemon.run("plc --watch", tool_too=True)
    assert len(cleared) == 3
    assert naps == pytest.approx([1.0, 1.0, 1.0], abs=0.1)
    assert result.output.count(E2) == 9
    assert result.exit_code == 1, "as the last look"


@pytest.mark.parametrize("ascii_only", [False, True])
def test_bars_are_as_long_as_the_attenuation_fit_80_columns_and_mark_what_is_above_20_db(ascii_only: bool) -> None:
    text = plc_text(PlcResult(evses=(LINKED,)), in_detail=True, ascii_only=ascii_only)
    assert max(map(len, text.splitlines())) <= 80
    block = "#" if ascii_only else "█"
    bars = [half for line in text.splitlines() if "|" in line for half in (line[:38], line[40:]) if "|" in half]
    assert len(bars) == 58
    assert bars[0].split()[0] == "1.8-"
    assert sorted(bar.split("|")[0].split()[-1] for bar in bars) == ["12.0"] * 50 + ["27.5!"] * 8
    assert {bar.count(block) for bar in bars if "12.0" in bar} == {6}
    assert {bar.count(block) for bar in bars if "27.5!" in bar} == {14 if ascii_only else 13}
    assert all(bar.split("|")[1].rstrip() == f"{block * 6}    :" for bar in bars if "12.0" in bar)
    assert text.isascii() is ascii_only


def test_an_attenuation_beyond_the_scale_widens_it_and_odd_groups_are_all_there() -> None:
    deaf = PlcAttenuation(average_db=70.0, groups_db=(70.0, 35.0, 0.0), sounds=2, at_unix_s=NOON)
    text = plc_text(PlcResult(evses=(PlcLine(evse_id=E1, interface="e", state=PlcState.WAITING, attenuation=deaf),)),
                    in_detail=True)  # fmt: skip
    assert "More than 20 dB: many vehicles do not match with it." in text
    rows = [line for line in text.splitlines() if "|" in line]
    assert len(rows) == 2
    assert ("█" * 20 in rows[0], "█" * 10 in rows[1]) == (True, True)
    assert rows[0].rstrip().endswith("|     :")
    assert "No matching yet." in text


def test_words_of_vehicles_and_modems_move_no_cursor() -> None:
    evil = PlcLine(
        evse_id=E1, interface="evse1", state=PlcState.FREE, modem=PlcModem(mac="m", version="1\x1b[2J"), problem="a\nb",
        history=(PlcMatching(at_unix_s=NOON, vehicle_mac=CAR, outcome="failed", step="\x07", reason="x\ry"),),
    )  # fmt: skip
    text = plc_text(PlcResult(evses=(evil,)), in_detail=True)
    assert not {"\x1b", "\x07", "\r"} & set(text)
    assert f"{E1}: a\\nb" in text


async def test_a_terminal_without_utf8_gets_ascii(site_daemon: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plc, "_draws_blocks", lambda: False)
    site_daemon.answers["plc"] = PlcResult(evses=(LINKED,))
    assert (await site_daemon.run("plc", tool_too=True)).output.isascii()


async def test_the_picture_is_a_png_and_is_named(site_daemon: Any, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    site_daemon.answers["plc"] = PlcResult(evses=(LINKED, MUTE))
    picture = tmp_path / "links.png"
    result = await site_daemon.run(f"plc --png {picture}", tool_too=True)
    assert result.exit_code == 0
    assert result.output.splitlines()[-1] == f"Picture: {picture}"
    assert picture.read_bytes().startswith(b"\x89PNG")
    result = await site_daemon.run(f"plc --json --png {picture}", tool_too=True)
    assert json.loads(result.stdout)["evses"], "nothing else is on stdout"


async def test_nothing_measured_or_no_matplotlib_or_no_place_is_said(
    site_daemon: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site_daemon.answers["plc"] = PlcResult(evses=(MUTE,))
    picture = tmp_path / "links.png"
    result = await site_daemon.run(f"plc --png {picture}", tool_too=True)
    assert (result.exit_code, picture.exists()) == (1, False)
    assert "no vehicle's sounds were measured yet" in result.stderr
    site_daemon.answers["plc"] = PlcResult(evses=(LINKED,))
    result = await site_daemon.run(f"plc --png {tmp_path / 'no' / 'links.png'}", tool_too=True)
    assert result.exit_code == 1
    assert "name a .png in a directory that can be written" in result.stderr
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = await site_daemon.run(f"plc --png {picture}", tool_too=True)
    assert (result.exit_code, picture.exists()) == (1, False)
    assert "v2g-orchestrator[replay]" in result.stderr


async def test_a_watch_draws_no_picture(site_daemon: Any) -> None:
    result = await site_daemon.run("plc --watch --png x.png", tool_too=True)
    assert result.exit_code == 2
    assert not site_daemon.received
