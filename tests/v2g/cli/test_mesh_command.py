"""``v2g-tool mesh`` as a person and a program see it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.mesh_result import CAP, group, member, mesh_result
from v2g.cli.mesh_text import mesh_text, ping_text
from v2g.control.messages_mesh import (
    MeshCapParams,
    MeshCapResult,
    MeshPingParams,
    MeshPingResult,
    MeshResult,
    MeshUncapParams,
)
from v2g.control.server import Refused


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def row(text: str, first: str) -> list[str]:
    """Of the members' table."""
    members = text[text.rindex("MEMBER ") : text.index("\nLINK ")]
    return next(found for found in map(cells, members.splitlines()) if found and found[0] == first)


async def test_the_whole_fits_a_screen_of_80_columns(site_daemon: Any) -> None:
    site_daemon.answers["mesh.show"] = mesh_result()
    result = await site_daemon.run("mesh", tool_too=True)
    assert result.exit_code == 0
    assert max(map(len, result.output.splitlines())) <= 80


def test_the_head_says_what_binds_us_and_how_much_is_lost() -> None:
    first, bound, waits, lost = mesh_text(mesh_result(region="r3", role="standby")).split("\n\n")[0].splitlines()
    assert first == "mesh grid-7/r3, node tr-12, gateway: standby: 4 of 6 members present"
    assert bound == "  our import is held to 66.00 kW: feeder-3"
    assert waits == "  our export is held to 12.00 kW: power rises by its ramp"
    assert lost == "  of the members' messages of the last minute 1.4 % were lost"


def test_what_does_not_bind_is_not_told() -> None:
    text = mesh_text(mesh_result(import_w=None, import_by="feeder-3", export_by="", loss_pct=None))
    assert "held to" not in text
    assert "were lost" not in text


def test_groups_are_a_tree_with_what_counts_of_which_limit() -> None:
    lines = mesh_text(mesh_result()).splitlines()
    at = lines.index(next(line for line in lines if line.startswith("GROUP")))
    assert cells(lines[at]) == ["GROUP", "HEARD", "IMPORT/LIMIT", "EXPORT/LIMIT", "FLOW"]
    assert cells(lines[at + 1]) == ["substation", "5/6", "640.0/2000.0", "310.0/1500.0", "?"]
    assert lines[at + 2].startswith("  feeder-3")
    assert cells(lines[at + 2])[1:] == ["2/2", "132.0/150.0", "24.0/100.0", "im 82.5", "binds our import"]
    assert cells(lines[at + 3]) == ["feeder-4", "1/3", "640.0/-", "310.0/-", "ex 8.4"]


@pytest.mark.parametrize(
    ("ordered_s", "ends"), [(None, "it ends within seconds unless told anew"), (754.0, "it ends in 12 min")]
)
def test_a_cap_is_told_with_who_why_and_until_when(ordered_s: float | None, ends: str) -> None:
    from msgspec.structs import replace

    capped = group("feeder-3", cap=replace(CAP, ordered_s=ordered_s))
    words = " ".join(mesh_text(mesh_result(groups=(capped,))).split())
    assert f"feeder-3: head caps it at 150.00 kW import, 100.00 kW export; {ends}: cable works" in words


def test_members_stand_below_their_groups_with_what_they_tell() -> None:
    text = mesh_text(mesh_result())
    ours = ["tr-12*", "0/2", "-", "-", "0s", "im 41.2", "66.0", "12.0", "67", "3", "ok", "1"]
    assert row(text, "tr-12*") == ours
    assert row(text, "tr-11")[1:6] == ["1/1", "1.2", "7%", "0s", "im 41.2"]
    assert row(text, "head") == ["head", "2/0", "1.2", "0%", "0s", "?", "0.0", "0.0", "-", "0", "head", "1"]
    names = [found[0] for found in map(cells, text.splitlines()) if found]
    below = names[names.index("MEMBER") + 1 :]
    expected = ["substation", "head", "feeder-3", "tr-11", "tr-12*", "feeder-4", "tr-13", "tr-14", "tr-15"]
    assert below[: len(expected)] == expected


def test_who_does_not_count_by_what_it_says_is_told_with_what_it_counts_with() -> None:
    text = mesh_text(mesh_result())
    assert row(text, "tr-13")[-2] == "no V2G"
    assert row(text, "tr-14")[-2:] == ["absent", "2"]
    assert row(text, "tr-15")[-2] == "deaf"
    words = " ".join(text.split())
    assert "tr-13: no energy may flow: frequency out of range" in words
    assert "tr-14 was not heard for 12 min: it counts with 250.00 kW import, 200.00 kW export" in words
    assert "tr-15 is heard and does not hear us: it counts with 250.00 kW import" in words


def test_a_member_that_was_never_heard_and_a_head_without_a_transformer_are_told_so() -> None:
    never = member("tr-9", present=False, age_s=None, hops=None, worst_import_w=0.0, worst_export_w=0.0)
    assert "tr-9 was not heard yet: it has no transformer" in mesh_text(mesh_result(members=(never,)))


def test_nobody_has_to_read_a_sign() -> None:
    upside = member("tr-11", flow_w=-8_400.0, import_share_w=-3_000.0, export_share_w=9_000.0)
    text = mesh_text(
        mesh_result(
            islands=(),
            members=(upside,),
            groups=(group("feeder-3", counted_import_w=-3_000.0, flow_w=-8_400.0),),
            import_w=-3_000.0,
        )
    )
    assert row(text, "tr-11")[5:8] == ["ex 8.4", "0.0", "9.0"]
    assert "our import is held to 0 W: feeder-3" in text
    assert not any(cell[0] == "-" and cell != "-" for line in text.splitlines() for cell in cells(line))


def test_islands_are_listed_where_there_are_more_than_one() -> None:
    assert "2 islands, ours first; each balances what it knows\n  1: tr-12, head" in mesh_text(mesh_result())
    whole = mesh_text(mesh_result(islands=(("tr-12", "tr-11"),)))
    assert "island" not in whole
    assert "ISL" not in whole


def test_links_are_listed_up_or_down() -> None:
    text = mesh_text(mesh_result())
    links = text[text.index("LINK ") :].splitlines()
    assert cells(links[1]) == ["tr-11", "tls/tr-11.example:7447", "up", "2 h 3 min", "1.2 ms"]
    assert cells(links[2]) == ["tr-14", "down", "never up", "-"]
    assert "no links" in mesh_text(mesh_result(links=()))


def test_what_was_dropped_is_counted_by_reason_and_sender() -> None:
    many = {f"s{number}": {"flood": number} for number in range(1, 9)}
    text = mesh_text(mesh_result(drops={"flood": 36, "not_a_member": 1}, drops_by_sender=many))
    assert "dropped since the start: 36 flood, 1 not a member" in text
    assert "  of s8: 8 flood\n" in text
    assert "of s2:" not in text
    assert "and of 2 others (--json has all)" in text
    assert "dropped since" not in mesh_text(mesh_result(drops={}, drops_by_sender={}))


def test_regions_are_shown_to_a_live_gateway() -> None:
    text = mesh_text(mesh_result(north=(member("r3", ourselves=True, group="substation"),)))
    assert "north, as we hear it for our region" in text
    assert row(text, "r3*")[0] == "r3*"


def test_words_of_members_move_no_cursor() -> None:
    evil = member("tr-11", permit="\x1b[2Jgone", present=True)
    text = mesh_text(mesh_result(members=(evil,), drops_by_sender={"\x1b]0;x": {"flood": 1}}))
    assert "\x1b" not in text


async def test_json_is_the_answer(site_daemon: Any) -> None:
    site_daemon.answers["mesh.show"] = mesh_result()
    answer = json.loads((await site_daemon.run("mesh --json", tool_too=True)).output)
    assert (answer["node"], len(answer["members"]), answer["wire"]["received"]) == ("tr-12", 6, 12_345)
    assert answer["members"][0]["flow_w"] == 41_250.0


async def test_a_controller_without_a_mesh_says_so_and_ends_with_1(site_daemon: Any, tmp_path: Path) -> None:
    words = "this controller is in no mesh (mesh: in the configuration)"
    site_daemon.answers["mesh.show"] = MeshResult(problem=words)
    result = await site_daemon.run("mesh", tool_too=True)
    assert (result.exit_code, result.output) == (1, f"{words}\n")
    result = await site_daemon.run(f"mesh map --output {tmp_path / 'map.svg'}", tool_too=True)
    assert (result.exit_code, result.stderr) == (1, f"v2g-tool: {words}\n")
    assert list(tmp_path.glob("*.svg")) == []


async def test_a_wire_that_is_down_is_told_before_what_is_still_known(site_daemon: Any) -> None:
    site_daemon.answers["mesh.show"] = mesh_result(problem="0.0.0.0:7447 is in use")
    result = await site_daemon.run("mesh", tool_too=True)
    assert result.exit_code == 1
    assert result.output.startswith("0.0.0.0:7447 is in use\n\nmesh grid-7")


async def test_without_a_daemon_it_ends_with_3(site_daemon: Any, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    for command in ("mesh", "mesh ping tr-11", f"mesh map --output {tmp_path / 'map.svg'}", "mesh uncap feeder-3"):
        result = await site_daemon.run(f"{command} --socket {nowhere}", tool_too=True)
        assert result.exit_code == 3, command


async def test_options_before_a_subcommand_are_a_mistake(site_daemon: Any) -> None:
    result = await site_daemon.run("mesh --json ping tr-11", tool_too=True)
    assert result.exit_code == 2
    assert "behind the name ping" in result.stderr
    assert site_daemon.received == []


# ---- ping ----


async def test_pings_are_a_line_each_and_summed_up(site_daemon: Any) -> None:
    site_daemon.answers["mesh.ping"] = MeshPingResult(node="tr-15", round_trips_ms=(2.5, None, 1.5, 9.0), hops=2)
    result = await site_daemon.run("mesh ping tr-15 --count 4", tool_too=True)
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "tr-15, 2 hops",
        "    1  2.50 ms",
        "    2  no answer within 2 s",
        "    3  1.50 ms",
        "    4  9.00 ms",
        "3 of 4 answered, 1.50 / 2.50 / 9.00 ms (least/median/most)",
    ]
    assert site_daemon.received[-1] == MeshPingParams(node="tr-15", count=4)


async def test_no_answer_at_all_ends_with_1(site_daemon: Any) -> None:
    site_daemon.answers["mesh.ping"] = MeshPingResult(node="tr-14", round_trips_ms=(None, None), hops=None)
    for more in ("", " --json"):
        result = await site_daemon.run(f"mesh ping tr-14 --count 2{more}", tool_too=True)
        assert result.exit_code == 1
    assert json.loads(result.output)["round_trips_ms"] == [None, None]
    assert ping_text(MeshPingResult(node="a", round_trips_ms=(1.0,), hops=1)).startswith("a, 1 hop\n")


async def test_a_member_that_is_none_is_refused_in_the_daemons_words(site_daemon: Any) -> None:
    site_daemon.answers["mesh.ping"] = Refused("there is no member 'x'; there are tr-11", code="UNKNOWN_MEMBER")
    result = await site_daemon.run("mesh ping x", tool_too=True)
    assert (result.exit_code, result.stderr) == (1, "v2g-tool: there is no member 'x'; there are tr-11\n")


@pytest.mark.parametrize("count", ["0", "101", "many"])
async def test_a_count_out_of_range_is_a_mistake(site_daemon: Any, count: str) -> None:
    result = await site_daemon.run(f"mesh ping tr-11 --count {count}", tool_too=True)
    assert result.exit_code == 2
    assert site_daemon.received == []


# ---- cap ----


async def test_a_cap_is_sent_as_magnitudes(site_daemon: Any) -> None:
    site_daemon.answers["mesh.cap"] = MeshCapResult(message="feeder-3: capped")
    command = "mesh cap feeder-3 --import 150kW --export 100kW --for 15m --reason works"
    result = await site_daemon.run(command, tool_too=True)
    assert (result.exit_code, result.output) == (0, "feeder-3: capped\n")
    assert site_daemon.received[-1] == MeshCapParams(
        group="feeder-3", import_w=150_000.0, export_w=100_000.0, valid_s=900.0, reason="works"
    )
    await site_daemon.run("mesh cap feeder-3 --export 0W --for 2h", tool_too=True)
    assert site_daemon.received[-1] == MeshCapParams(group="feeder-3", export_w=0.0, valid_s=7200.0)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--for 15m", "give --import, --export, or both"),
        ("--import 150 --for 15m", "has no unit"),
        ("--import -5kW", "is negative"),
        ("--import 150kW --for 15", "has no unit"),
    ],
)
async def test_a_cap_that_cannot_be_read_is_a_mistake(site_daemon: Any, options: str, says: str) -> None:
    result = await site_daemon.run(f"mesh cap feeder-3 {options}", tool_too=True)
    assert result.exit_code == 2
    assert says in result.stderr
    assert site_daemon.received == []


async def test_a_node_that_is_no_head_is_refused(site_daemon: Any) -> None:
    site_daemon.answers["mesh.cap"] = Refused("tr-12 may not cap feeder-3: it is no head", code="NOT_A_HEAD")
    result = await site_daemon.run("mesh cap feeder-3 --import 1kW --json", tool_too=True)
    assert result.exit_code == 1
    assert json.loads(result.stdout)["error"]["code"] == "NOT_A_HEAD"


async def test_a_cap_is_ended(site_daemon: Any) -> None:
    site_daemon.answers["mesh.uncap"] = MeshCapResult(message="the cap of feeder-3 ends within seconds")
    result = await site_daemon.run("mesh uncap feeder-3", tool_too=True)
    assert (result.exit_code, result.output) == (0, "the cap of feeder-3 ends within seconds\n")
    assert site_daemon.received[-1] == MeshUncapParams(group="feeder-3")


# ---- map ----


async def test_the_map_is_written_and_not_over_another_file(site_daemon: Any, tmp_path: Path) -> None:
    site_daemon.answers["mesh.show"] = mesh_result()
    path = tmp_path / "map.svg"
    result = await site_daemon.run(f"mesh map --output {path}", tool_too=True)
    assert (result.exit_code, result.output) == (0, f"Map: {path}\n")
    assert path.read_text().startswith("<svg")
    path.write_text("mine")
    result = await site_daemon.run(f"mesh map --output {path}", tool_too=True)
    assert (result.exit_code, path.read_text()) == (1, "mine")
    assert result.stderr == f"v2g-tool: {path} is there already: name another file, or give --force to replace it\n"
    result = await site_daemon.run(f"mesh map --output {path} --force", tool_too=True)
    assert result.exit_code == 0
    assert path.read_text().startswith("<svg")
    assert [each.name for each in tmp_path.iterdir() if each.suffix not in ("", ".sock", ".lock")] == ["map.svg"]


async def test_a_map_that_cannot_be_written_says_why(site_daemon: Any, tmp_path: Path) -> None:
    site_daemon.answers["mesh.show"] = mesh_result()
    path = tmp_path / "nowhere" / "map.svg"
    result = await site_daemon.run(f"mesh map --output {path}", tool_too=True)
    assert (result.exit_code, result.stderr) == (1, f"v2g-tool: {path} cannot be written: No such file or directory\n")
