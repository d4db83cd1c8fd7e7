"""Hops and islands, by what all tell."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from v2g.mesh.topology import graph, hops_from, islands

LINE = {"a": ("b",), "b": ("c",), "c": ("d",), "d": ()}


def test_a_link_that_one_end_tells_of_holds_both_ways() -> None:
    assert graph({"a": ["b"]}) == {"a": {"b"}, "b": {"a"}}


def test_hops_count_along_the_shortest_way() -> None:
    line = graph(LINE)
    assert hops_from("d", line) == {"d": 0, "c": 1, "b": 2, "a": 3}
    ring = graph({**LINE, "d": ("a",)})
    assert hops_from("d", ring) == {"d": 0, "a": 1, "c": 1, "b": 2}


def test_who_is_not_reached_has_no_hops() -> None:
    assert hops_from("a", graph({"a": (), "b": ("c",)})) == {"a": 0}
    assert hops_from("nobody", {}) == {"nobody": 0}


def test_islands_are_told_the_largest_first_and_in_order() -> None:
    edges = graph({"a": ("b",), "b": (), "c": ("d",), "d": ("e",), "x": ()})
    assert islands(["x", "b", "a", "e", "d", "c"], edges) == (("c", "d", "e"), ("a", "b"), ("x",))


def test_a_way_over_a_node_that_does_not_count_still_connects() -> None:
    assert islands(["a", "c"], graph({"a": ("b",), "b": ("c",)})) == (("a", "c"),)


def test_a_link_with_oneself_changes_nothing() -> None:
    edges = graph({"a": ("a",), "b": ()})
    assert islands(["a", "b"], edges) == (("a",), ("b",))
    assert hops_from("a", edges) == {"a": 0}


names = st.sampled_from("abcdefgh")


@given(st.dictionaries(names, st.lists(names, max_size=4)), st.sets(names))
def test_everybody_is_in_one_island_and_reaches_those_of_it_alone(
    links_of: dict[str, list[str]], others: set[str]
) -> None:
    edges = graph(links_of)
    nodes = set(edges) | others
    found = islands(nodes, edges)
    assert sorted(node for island in found for node in island) == sorted(nodes)
    assert [len(island) for island in found] == sorted((len(island) for island in found), reverse=True)
    for island in found:
        for node in island:
            hops = hops_from(node, edges)
            assert set(hops) == set(island)
            for other, count in hops.items():
                assert hops_from(other, edges)[node] == count
