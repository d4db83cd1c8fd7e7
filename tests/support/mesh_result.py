"""A mesh as the control socket tells of it: six members below two feeders, one of them not heard."""

from __future__ import annotations

from typing import Any

from v2g.control.messages_mesh import (
    MeshCapLine,
    MeshGroupLine,
    MeshLinkLine,
    MeshMemberLine,
    MeshResult,
    MeshWireLine,
)


def member(name: str, **changed: Any) -> MeshMemberLine:
    told: dict[str, Any] = {
        "id": name, "group": "feeder-3", "voice": name, "ourselves": False, "present": True, "deaf": False,
        "age_s": 0.4, "hops": 1, "hops_to_substation": None, "round_trip_ms": 1.23, "loss_pct": 0.0,
        "flow_w": 41_250.0, "import_share_w": 66_000.0, "export_share_w": 12_000.0, "worst_import_w": 250_000.0,
        "worst_export_w": 200_000.0, "capability_lo_w": -50_000.0, "capability_hi_w": 50_000.0, "top_oil_c": 51.0,
        "hot_spot_c": 66.6, "vehicles": 3, "needed_wh": 60_000.0, "surplus_wh": 20_000.0, "permit": "",
        "links": (), "island": 1, "head": False,
    }  # fmt: skip
    return MeshMemberLine(**{**told, **changed})


def group(name: str, **changed: Any) -> MeshGroupLine:
    told: dict[str, Any] = {
        "id": name, "parent": "", "import_w": 2e6, "export_w": 1.5e6, "cap": None, "counted_import_w": 640_000.0,
        "counted_export_w": 310_000.0, "flow_w": None, "members": 6, "present": 5, "binds_import": False,
        "binds_export": False,
    }  # fmt: skip
    return MeshGroupLine(**{**told, **changed})


CAP = MeshCapLine(import_w=150_000.0, export_w=100_000.0, by="head", reason="cable works", ends_in_s=2.4)


def mesh_result(**changed: Any) -> MeshResult:
    """As ``tr-12`` tells it. ``tr-14`` is not heard; ``tr-13`` is held by its guard; ``tr-15`` does not hear us."""
    members = (
        member("tr-12", ourselves=True, age_s=0.0, hops=0, round_trip_ms=None, loss_pct=None, hops_to_substation=2,
               links=("tr-11", "tr-13")),
        member("head", group="substation", head=True, hops=2, hops_to_substation=0, flow_w=None, worst_import_w=0.0,
               worst_export_w=0.0, import_share_w=0.0, export_share_w=0.0, hot_spot_c=None, vehicles=0,
               links=("tr-11",)),
        member("tr-11", hops_to_substation=1, links=("tr-12", "head"), loss_pct=7.2),
        member("tr-13", group="feeder-4", hops_to_substation=3, links=("tr-12", "tr-15"), flow_w=-8_400.0,
               permit="frequency out of range"),
        member("tr-14", group="feeder-4", present=False, age_s=754.0, hops=None, round_trip_ms=None, flow_w=None,
               import_share_w=250_000.0, export_share_w=200_000.0, hot_spot_c=None, vehicles=None, island=2,
               loss_pct=None),
        member("tr-15", group="feeder-4", present=False, deaf=True, hops=2, hops_to_substation=4, links=("tr-13",),
               import_share_w=250_000.0, export_share_w=200_000.0),
    )  # fmt: skip
    told: dict[str, Any] = {
        "problem": "", "network": "grid-7", "node": "tr-12", "import_w": 66_000.0, "export_w": 12_000.0,
        "import_by": "feeder-3", "export_by": "ramp", "loss_pct": 1.44, "members": members,
        "groups": (
            group("substation", flow_w=None),
            group("feeder-3", parent="substation", import_w=150_000.0, export_w=100_000.0, cap=CAP, members=2,
                  present=2, counted_import_w=132_000.0, counted_export_w=24_000.0, flow_w=82_500.0,
                  binds_import=True),
            group("feeder-4", parent="substation", import_w=None, export_w=None, members=3, present=1,
                  flow_w=-8_400.0),
        ),
        "links": (
            MeshLinkLine(node="tr-11", address="tls/tr-11.example:7447", up=True, since_s=7384.0, round_trip_ms=1.23),
            MeshLinkLine(node="tr-14", address="", up=False, since_s=None),
        ),
        "islands": (("tr-12", "head", "tr-11", "tr-13", "tr-15"), ("tr-14",)),
        "drops": {"replayed": 3, "not_a_member": 12},
        "drops_by_sender": {"tr-11": {"replayed": 3}, "stranger": {"not_a_member": 12}},
        "wire": MeshWireLine(received=12_345, received_bytes=6_100_000, sent=2_345, sent_bytes=1_200_000, dropped=0,
                             unsent=4, states_sent=2_300, opened=12_330),
    }  # fmt: skip
    return MeshResult(**{**told, **changed})
