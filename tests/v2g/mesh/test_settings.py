"""From the section ``mesh`` to rosters, settings, wires and halves."""

from __future__ import annotations

import copy
from math import inf
from pathlib import Path
from typing import Any

import msgspec
import pytest

from support.mesh_nodes import UNIX_S, identity, trust
from v2g.clock import ManualClock
from v2g.config.paths import mesh_paths_in
from v2g.config.schema_mesh import Mesh
from v2g.mesh.engine_zenoh import ZenohEngine
from v2g.mesh.envelope import EnvelopeError, Opener, Sealer
from v2g.mesh.messages import Cap
from v2g.mesh.node import Facts
from v2g.mesh.node_settings import NodeSettings
from v2g.mesh.settings import Credentials, halves, node_settings, north_roster, region_roster, zenoh_settings
from v2g.mesh.trust import Drop
from v2g.mesh.zenoh_config import Neighbour, configuration

PATHS = mesh_paths_in(Path("/etc/ssl/v2g/mesh"))
FLAT: dict[str, Any] = {
    "network": "grid-7",
    "node": "tr-2",
    "groups": [
        {"id": "substation", "import_kw": 500, "export_kw": 400},
        {"id": "feeder", "parent": "substation", "import_kw": 300},
    ],
    "members": [
        {"id": "head", "group": "substation", "head": True},
        {"id": "tr-1", "group": "feeder", "import_kw": 250, "export_kw": 200, "weight": 2.5},
        {"id": "tr-2", "group": "feeder", "rated_kw": 100},
        {"id": "tr-3", "group": "feeder", "rated_kw": 100, "export_kw": 40},
    ],
    "neighbours": [{"node": "tr-1", "address": "tls/tr-1.example:7447"}, {"node": "head"}],
}
NORTH: dict[str, Any] = {
    "region_group": "substation",
    "groups": [{"id": "country", "import_kw": 900}],
    "members": [
        {"id": "r1", "group": "country", "rated_kw": 500, "speakers": ["tr-2", "tr-1"]},
        {"id": "r2", "group": "country", "rated_kw": 400, "speakers": ["tr-9"]},
    ],
    "listen": ["tls/[::]:7500"],
    "neighbours": [{"node": "tr-9", "address": "tls/192.0.2.9:7500"}],
}
REGION = {
    **FLAT, "region": "r1", "gateways": ["tr-2", "tr-1"], "alone_import_kw": 50, "alone_export_kw": 20, "north": NORTH,
}  # fmt: skip


def mesh(base: dict[str, Any] = FLAT, **fields: Any) -> Mesh:
    return msgspec.convert({**copy.deepcopy(base), **fields}, Mesh)


def credentials() -> Credentials:
    return Credentials(identity=identity("tr-2"), trust=trust())


def test_limits_are_watts_and_none_is_no_limit() -> None:
    groups = region_roster(mesh()).groups
    assert (groups["substation"].import_w, groups["substation"].export_w) == (500e3, 400e3)
    assert (groups["feeder"].import_w, groups["feeder"].export_w) == (300e3, inf)
    assert (groups["substation"].parent, groups["feeder"].parent) == ("", "substation")


@pytest.mark.parametrize(("way", "limits_w"), [("import_kw", (0.0, inf)), ("export_kw", (inf, 0.0))])
def test_a_limit_of_zero_is_one(way: str, limits_w: tuple[float, float]) -> None:
    groups = region_roster(mesh(groups=[{"id": "substation"}, {"id": "feeder", way: 0}])).groups
    assert (groups["feeder"].import_w, groups["feeder"].export_w) == limits_w


def test_a_member_counts_with_its_rating_unless_a_direction_has_its_own() -> None:
    members = region_roster(mesh()).members
    assert (members["tr-1"].import_w, members["tr-1"].export_w) == (250e3, 200e3)
    assert (members["tr-2"].import_w, members["tr-2"].export_w) == (100e3, 100e3)
    assert (members["tr-3"].import_w, members["tr-3"].export_w) == (100e3, 40e3)
    assert (members["head"].import_w, members["head"].export_w) == (0.0, 0.0)


def test_weights_are_ratings_unless_one_is_given_and_never_zero() -> None:
    members = region_roster(mesh()).members
    assert {name: member.weight for name, member in members.items()} == {
        "head": 1.0, "tr-1": 2.5, "tr-2": 100.0, "tr-3": 100.0,
    }  # fmt: skip


def test_only_heads_may_cap() -> None:
    assert region_roster(mesh()).heads == {"head"}


def test_in_a_flat_mesh_nothing_waits_for_a_cap() -> None:
    roster = region_roster(mesh())
    assert (roster.network, roster.region, roster.gateways) == ("grid-7", "", frozenset())
    assert not any(group.capped for group in roster.groups.values())
    assert north_roster(mesh()) is None


def test_of_a_region_the_group_above_all_others_waits_for_a_cap() -> None:
    roster = region_roster(mesh(REGION))
    assert (roster.region, roster.gateways) == ("r1", {"tr-1", "tr-2"})
    top, below = roster.groups["substation"], roster.groups["feeder"]
    assert (top.capped, top.alone_import_w, top.alone_export_w) == (True, 50e3, 20e3)
    assert (below.capped, below.alone_import_w, below.alone_export_w) == (False, 0.0, 0.0)


def test_the_north_has_regions_with_their_speakers() -> None:
    roster = north_roster(mesh(REGION))
    assert roster is not None
    assert (roster.region, set(roster.members)) == ("north", {"r1", "r2"})
    assert roster.members["r1"].voices == ("tr-2", "tr-1")
    assert roster.member_of("tr-9") == "r2"
    assert not any(group.capped for group in roster.groups.values())


def test_shares_of_the_rating_become_watts() -> None:
    found = node_settings(mesh(ramp_pu_s=0.1, margin_pu=0.02, reserve_pu=0.03, valid_s=6, deaf_after_s=7), 100e3)
    assert found == NodeSettings(
        period_s=1.0, valid_s=6.0, least_gap_s=0.2, ramp_w_s=10e3, reserve_pu=0.03, deaf_after_s=7.0, margin_w=2e3
    )


def test_no_state_is_asked_for_more_often_than_the_period() -> None:
    assert node_settings(mesh(period_s=0.2, valid_s=1), 1e3).least_gap_s == 0.2
    assert node_settings(mesh(period_s=10, valid_s=30, deaf_after_s=30), 1e3).least_gap_s == 0.2


def test_the_wire_has_our_files_our_neighbours_and_every_voice() -> None:
    section = mesh(lease_s=2)
    wire = zenoh_settings(section, PATHS, region_roster(section), section.listen, section.neighbours)
    assert (wire.certificate, wire.key, wire.ca) == (PATHS.chain, PATHS.key, PATHS.ca)
    assert wire.neighbours == (Neighbour(node="tr-1", address="tls/tr-1.example:7447"), Neighbour(node="head"))
    assert wire.members == {"head", "tr-1", "tr-2", "tr-3"}
    assert (wire.node, wire.prefix, wire.listen, wire.lease_s) == ("tr-2", "v2g/grid-7/flat", ("tls/[::]:7447",), 2.0)


def test_zenoh_dials_only_those_who_have_an_address_and_lets_only_members_through() -> None:
    section = mesh()
    told = configuration(zenoh_settings(section, PATHS, region_roster(section), section.listen, section.neighbours))
    assert told["connect"]["endpoints"] == ["tls/tr-1.example:7447"]
    assert told["access_control"]["default_permission"] == "deny"
    assert told["access_control"]["subjects"][0]["cert_common_names"] == ["head", "tr-1", "tr-3"]
    assert told["access_control"]["rules"][0]["key_exprs"] == ["v2g/grid-7/flat/**"]


def test_in_a_flat_mesh_there_is_one_half() -> None:
    own, north = halves(mesh(), PATHS, credentials(), ManualClock(unix_s=UNIX_S), "1.0")
    assert north is None
    assert own.keys == ("v2g/grid-7/flat/**",)
    node = own.make_node()
    assert (node.voice, node.member.id, node.settings.ramp_w_s) == ("tr-2", "tr-2", 5e3)
    assert isinstance(own.make_engine(), ZenohEngine)


@pytest.mark.parametrize("ratings", [{"import_kw": 200, "export_kw": 50}, {"import_kw": 50, "export_kw": 200}])
def test_shares_are_of_the_greater_rating(ratings: dict[str, float]) -> None:
    members = [{"id": "tr-2", "group": "feeder", **ratings}]
    own, _ = halves(mesh(members=members), PATHS, credentials(), ManualClock(unix_s=UNIX_S), "1.0")
    assert own.make_node().settings.ramp_w_s == 10e3


def test_a_gateway_speaks_with_one_voice_for_itself_and_for_its_region() -> None:
    own, north = halves(mesh(REGION), PATHS, credentials(), ManualClock(unix_s=UNIX_S), "1.0")
    assert north is not None
    assert (own.keys, north.half.keys) == (("v2g/grid-7/r1/**",), ("v2g/grid-7/north/**",))
    assert (north.group, north.gateways) == ("substation", ("tr-2", "tr-1"))
    node = north.half.make_node()
    assert (node.voice, node.member.id, node.settings.ramp_w_s) == ("tr-2", "r1", 25e3)


def test_a_gateways_region_is_dialled_at_the_norths_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    wires = []
    monkeypatch.setattr("v2g.mesh.settings.ZenohEngine", lambda settings, clock: wires.append(settings))
    own, north = halves(mesh(REGION), PATHS, credentials(), ManualClock(unix_s=UNIX_S), "1.0")
    assert north is not None
    own.make_engine()
    north.half.make_engine()
    assert [wire.listen for wire in wires] == [("tls/[::]:7447",), ("tls/[::]:7500",)]
    assert [wire.neighbours[0].node for wire in wires] == ["tr-1", "tr-9"]
    assert wires[0].members == {"head", "tr-1", "tr-2", "tr-3"}
    assert wires[1].members == {"tr-1", "tr-2", "tr-9"}


@pytest.mark.parametrize(("network", "reason"), [("grid-7/north", None), ("grid-7/r1", Drop.FOREIGN)])
def test_an_envelope_of_one_half_means_nothing_in_the_other(network: str, reason: Drop | None) -> None:
    _, north = halves(mesh(REGION), PATHS, credentials(), ManualClock(unix_s=UNIX_S), "1.0")
    assert north is not None
    sealer = Sealer(network, identity("tr-1"), round(UNIX_S * 1e6))
    _, data = sealer.seal(
        Cap(group="country", import_w=1.0, export_w=1.0, reason=""), UNIX_S, 3.0, with_certificate=True
    )
    if reason is None:
        assert north.half.make_node().opener.open(data, 0.0, UNIX_S).sender == "tr-1"
    else:
        with pytest.raises(EnvelopeError) as caught:
            north.half.make_node().opener.open(data, 0.0, UNIX_S)
        assert caught.value.reason is reason


def test_a_node_that_is_made_anew_is_not_taken_for_a_replay() -> None:
    """A wire that is made anew brings a new machine: the others know sequences of the old one."""
    clock = ManualClock(unix_s=UNIX_S)
    own, _ = halves(mesh(), PATHS, credentials(), clock, "1.0")
    opener = Opener("grid-7/flat", trust(), frozenset({"tr-2"}))
    for _ in range(2):
        node = own.make_node()
        sent = node.step(Facts(flow_w=1e3, base_w=1e3), (), clock.monotonic_s(), clock.unix_s())
        states = [each for each in sent if "/state/" in each.key]
        assert states
        for each in states:
            assert opener.open(each.payload, clock.monotonic_s(), clock.unix_s()).sender == "tr-2"
        clock.advance(1.0)
    assert not opener.counts.get(Drop.REPLAYED, 0)


def test_a_head_that_caps_every_group_each_period_is_no_flood() -> None:
    groups = [{"id": "substation"}, *({"id": f"f{n}", "parent": "substation"} for n in range(60))]
    members = [*({"id": f"tr-{n}", "group": f"f{n}", "rated_kw": 100} for n in range(60)), FLAT["members"][0]]
    own, _ = halves(
        mesh(groups=groups, members=members, neighbours=[]), PATHS, credentials(), ManualClock(unix_s=UNIX_S), "1.0"
    )
    node, sealer = own.make_node(), Sealer("grid-7/flat", identity("head"), round(UNIX_S * 1e6))
    for second in range(4):
        for group in node.roster.groups:
            cap = Cap(group=group, import_w=1.0, export_w=1.0, reason="")
            _, data = sealer.seal(cap, UNIX_S + second, 3.0, with_certificate=True)
            node.opener.open(data, float(second), UNIX_S + second)
    assert node.opener.counts.get(Drop.FLOOD, 0) == 0
