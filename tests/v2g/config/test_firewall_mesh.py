"""The mesh in the firewall: who reaches its port, and which neighbours are reached."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.config_dir import two_evses, write_config
from v2g.config.firewall_plan import firewall_plan, plan_remarks
from v2g.config.loader import ConfigError, Loaded, load
from v2g.host.firewall.model import Access, Plan
from v2g.host.firewall.render import render

Site = Callable[..., Loaded]
GROUPS = [{"id": "feeder", "import_kw": 400}]


def members(*ids: str) -> list[dict[str, Any]]:
    return [{"id": each, "group": "feeder", "rated_kw": 250} for each in ids]


def mesh(*neighbours: dict[str, str], **more: Any) -> dict[str, Any]:
    ids = dict.fromkeys(["tr-1", *(each["node"] for each in neighbours)])
    return {
        "network": "grid-7",
        "node": "tr-1",
        "groups": GROUPS,
        "members": members(*ids),
        "neighbours": list(neighbours),
        **more,
    }


def dialled(node: str, address: str) -> dict[str, str]:
    return {"node": node, "address": f"tls/{address}"}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    def loaded(**sections: Any) -> Loaded:
        write_config(tmp_path / "etc", two_evses(**sections))
        return load(tmp_path / "etc")

    return loaded


def opened(plan: Plan) -> list[tuple[str, list[str], tuple[int, ...], str]]:
    def row(one: Access) -> tuple[str, list[str], tuple[int, ...], str]:
        return one.source, [str(network) for network in one.networks], one.tcp, one.interface

    return [row(one) for one in plan.access]


def test_the_port_of_the_mesh_is_for_the_neighbours_alone(site: Site) -> None:
    loaded = site(
        mesh=mesh(dialled("tr-2", "10.4.0.2:7447"), dialled("tr-3", "tr-3.example:7448")),
        firewall={"hosts": {"tr-3.example": ["10.4.0.9", "2001:db8::9"]}},
    )
    plan = firewall_plan(loaded)
    assert opened(plan) == [("mesh.listen", ["10.4.0.2/32", "10.4.0.9/32", "2001:db8::9/128"], (7447,), "")]
    assert "tcp dport 7447" in render(plan)
    assert not any("mesh" in text for text in plan_remarks(loaded))


def test_people_keep_their_rules_before_those_of_the_mesh(site: Site) -> None:
    operators = [{"addresses": ["10.9.0.0/28"], "ports": [22]}]
    plan = firewall_plan(site(mesh=mesh(dialled("tr-2", "10.4.0.2:7447")), firewall={"operators": operators}))
    assert [one.source for one in plan.access] == ["firewall.operators[0]", "mesh.listen"]


def test_a_neighbour_that_dials_us_from_somewhere_opens_the_port_to_anybody_and_this_is_told(site: Site) -> None:
    loaded = site(mesh=mesh(dialled("tr-2", "10.4.0.2:7447"), {"node": "tr-3"}, {"node": "tr-4"}))
    plan = firewall_plan(loaded)
    assert opened(plan) == [("mesh.listen", ["0.0.0.0/0", "::/0"], (7447,), "")]
    (told,) = [text for text in plan_remarks(loaded) if "mesh" in text]
    assert "port 7447 is open to anybody, for tr-3, tr-4 dial us" in told
    assert "firewall.hosts: {tr-3: [192.0.2.7]}" in told


def test_anybody_is_written_without_a_set(site: Site) -> None:
    text = render(firewall_plan(site(mesh=mesh({"node": "tr-2"}))))
    rules = [line.strip() for line in text.splitlines() if "mesh.listen: tcp" in line]
    assert rules == [
        f'meta nfproto ipv{version} tcp dport 7447 counter accept comment "mesh.listen: tcp"' for version in (4, 6)
    ]
    assert "access_0" not in text


def test_hosts_tell_where_a_neighbour_dials_from(site: Site) -> None:
    hosts = {"tr-2": ["10.4.0.2"], "tr-3": ["fe80::7%eth1"]}
    loaded = site(mesh=mesh({"node": "tr-2"}, {"node": "tr-3"}), firewall={"hosts": hosts})
    assert opened(firewall_plan(loaded)) == [
        ("mesh.listen", ["10.4.0.2/32"], (7447,), ""),
        ("mesh.listen", ["fe80::7/128"], (7447,), "eth1"),
    ]
    assert not any("anybody" in text and "mesh" in text for text in plan_remarks(loaded))


def test_a_neighbour_by_name_needs_its_address(site: Site) -> None:
    loaded = site(mesh=mesh(dialled("tr-2", "tr-2.example:7447")))
    with pytest.raises(ConfigError) as caught:
        firewall_plan(loaded)
    (problem,) = caught.value.problems
    assert problem.path == "mesh.neighbours[0].address"
    assert problem.line is not None
    assert "firewall.hosts: {tr-2.example: [192.0.2.7]}" in problem.remedy


@pytest.mark.parametrize("listen", [[], ["tls/127.0.0.1:7447"], ["tls/[::1]:7447"]])
def test_a_port_that_no_other_host_reaches_is_not_opened(site: Site, listen: list[str]) -> None:
    loaded = site(mesh=mesh({"node": "tr-2"}, listen=listen))
    assert firewall_plan(loaded).access == ()
    assert not any("mesh.listen" in text for text in plan_remarks(loaded))


def test_neighbours_on_this_host_open_nothing(site: Site) -> None:
    assert firewall_plan(site(mesh=mesh(dialled("tr-2", "127.0.0.1:7448")))).access == ()


def test_a_mesh_without_neighbours_opens_nothing(site: Site) -> None:
    assert firewall_plan(site(mesh=mesh())).access == ()


def test_strict_output_lets_us_dial_the_neighbours_and_no_more(site: Site) -> None:
    section = mesh(dialled("tr-2", "tr-2.example:7450"), {"node": "tr-3"})
    firewall = {"output": "strict", "hosts": {"tr-2.example": ["10.4.0.2"], "tr-3": ["10.4.0.3"]}}
    plan = firewall_plan(site(mesh=section, firewall=firewall))
    assert [(one.source, str(one.network), one.tcp) for one in plan.destinations] == [
        ("mesh.neighbours[0].address", "10.4.0.2/32", (7450,))
    ]


def test_a_gateway_opens_the_port_of_the_north_for_the_norths_neighbours(site: Site) -> None:
    north = {
        "region_group": "feeder",
        "groups": [{"id": "substation", "import_kw": 2000}],
        "members": [
            {"id": "r1", "group": "substation", "rated_kw": 500, "speakers": ["tr-1"]},
            {"id": "r2", "group": "substation", "rated_kw": 500, "speakers": ["tr-9"]},
        ],
        "listen": ["tls/[::]:7500"],
        "neighbours": [dialled("tr-9", "10.5.0.9:7500")],
    }
    section = mesh(dialled("tr-2", "10.4.0.2:7447"), region="r1", gateways=["tr-1"], north=north)
    assert opened(firewall_plan(site(mesh=section))) == [
        ("mesh.listen", ["10.4.0.2/32"], (7447,), ""),
        ("mesh.north.listen", ["10.5.0.9/32"], (7500,), ""),
    ]


def test_a_port_of_a_neighbour_is_not_shut_because_a_device_has_the_same(site: Site) -> None:
    evses = two_evses()["evses"]
    evses[0]["inverter"]["modbus"]["port"] = 7447
    plan = firewall_plan(site(evses=evses, mesh=mesh(dialled("tr-2", "10.4.0.2:7447"))))
    assert plan.guarded == (502, 802)


def test_the_mesh_cannot_listen_at_a_port_of_modbus(site: Site) -> None:
    with pytest.raises(ConfigError, match=r"mesh\.listen\[0\].*is a port of Modbus"):
        site(mesh=mesh(listen=["tls/[::]:802"]))
