"""The map of a mesh: well-formed whatever members call themselves, each member, link and group once."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from support.mesh_result import group, member, mesh_result
from v2g.cli.mesh_map import mesh_svg
from v2g.control.messages_mesh import MeshResult

SVG = "{http://www.w3.org/2000/svg}"


def drawn(result: MeshResult) -> ET.Element:
    return ET.fromstring(mesh_svg(result).encode())  # noqa: S314


def texts(element: ET.Element) -> list[str]:
    return [each.text or "" for each in element.iter(f"{SVG}text")]


def boxes(root: ET.Element) -> dict[str, ET.Element]:
    """By a member's name."""
    return {texts(box)[0]: box for box in root.iter(f"{SVG}g")}


def place(box: ET.Element) -> tuple[float, float]:
    frame = box[0]
    return float(frame.attrib["x"]), float(frame.attrib["y"])


def test_each_member_is_a_box_with_what_it_tells_and_a_colour_of_its_state() -> None:
    found = boxes(drawn(mesh_result()))
    assert set(found) == {"tr-12", "head", "tr-11", "tr-13", "tr-14", "tr-15"}
    kinds = {name: box.attrib["class"] for name, box in found.items()}
    assert kinds == {
        "tr-12": "ours", "head": "head", "tr-11": "present", "tr-13": "stopped", "tr-14": "absent", "tr-15": "deaf",
    }  # fmt: skip
    assert len({box[0].attrib["fill"] for box in found.values()}) == 6
    assert texts(found["tr-11"]) == [
        "tr-11", "feeder-3", "imports 41.2 kW, hot-spot 67 °C", "may import 66.0, export 12.0 kW", "3 EV, 7% lost",
    ]  # fmt: skip
    assert texts(found["tr-13"])[2].startswith("exports 8.4 kW")
    assert texts(found["tr-14"])[2:] == ["flow not known", "counts import 250.0, export 200.0 kW", "island 2"]
    assert texts(found["head"]) == ["head", "substation", "no transformer"]


def test_rows_are_hops_and_no_two_members_share_a_place() -> None:
    found = boxes(drawn(mesh_result()))
    heights = {name: place(box)[1] for name, box in found.items()}
    assert heights["tr-12"] < heights["tr-11"] == heights["tr-13"] < heights["head"] == heights["tr-15"]
    assert heights["tr-14"] > heights["head"], "who is not reached is last"
    assert len({place(box) for box in found.values()}) == 6


def test_each_link_is_one_line_with_the_round_trip_of_ours() -> None:
    root = drawn(mesh_result())
    assert len(list(root.iter(f"{SVG}path"))) == 4
    assert "1.2 ms" in texts(root)


def test_groups_are_a_tree_with_the_part_of_their_limits_that_is_taken() -> None:
    root = drawn(mesh_result())
    words = {each.text: float(each.attrib["x"]) for each in root.findall(f"{SVG}text")}
    assert words["substation"] < words["feeder-3"]
    assert {"import 132.0 of 150 kW", "export 24.0 of 100 kW"} <= set(words)
    assert any("binds our import, capped by head" in (text or "") for text in words)
    full = group("feeder-3", import_w=100.0, counted_import_w=200.0)
    assert "#c0392b" in mesh_svg(mesh_result(groups=(full,), members=(member("tr-12", flow_w=0.0),)))


def test_islands_are_framed_where_there_are_more_than_one() -> None:
    assert {"our island", "other islands"} <= set(texts(drawn(mesh_result())))
    assert "our island" not in texts(drawn(mesh_result(islands=(("tr-12",),))))


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", 'a"b&c', "\x1b[2J", "\x00", "]]>", "\ud800", "é" * 64])
def test_names_and_words_of_others_stay_words(name: str) -> None:
    evil = member(name, permit=name, group=name, voice=name, links=(name,))
    root = drawn(mesh_result(members=(evil,), groups=(group(name),), network=name, node=name))
    known = {f"{SVG}{tag}" for tag in ("svg", "title", "rect", "text", "g", "path")}
    assert {each.tag for each in root.iter()} <= known


def test_a_mesh_of_five_hundred_members_is_drawn_with_a_place_for_each() -> None:
    members = tuple(
        member(f"n{number}", hops=number // 20 if number < 400 else None, links=(f"n{max(0, number - 20)}",),
               island=1 if number < 400 else number)
        for number in range(500)
    )  # fmt: skip
    root = drawn(mesh_result(members=members, islands=(("n0",), ("n400",))))
    places = [place(box) for box in root.iter(f"{SVG}g")]
    assert len(set(places)) == 500
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    assert all(0 <= x < width and 0 <= y < height for x, y in places)


def test_a_group_that_is_its_own_parent_ends() -> None:
    root = drawn(mesh_result(groups=(group("a", parent="b"), group("b", parent="a"))))
    assert {"a", "b"} <= set(texts(root))
