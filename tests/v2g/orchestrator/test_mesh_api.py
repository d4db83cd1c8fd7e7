"""The methods of the mesh: who asked is told what the source knows, and its refusals."""

from __future__ import annotations

import msgspec
import pytest

from support.control_world import ALICE
from support.mesh_result import mesh_result
from v2g.control.messages import NoParams
from v2g.control.messages_mesh import (
    PINGS_AT_MOST,
    MeshCapParams,
    MeshPingParams,
    MeshResult,
    MeshUncapParams,
)
from v2g.control.server import Refused
from v2g.orchestrator.mesh_api import MeshApi


class Source:
    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.refuses = False

    def result(self) -> MeshResult:
        return mesh_result()

    async def ping(self, node: str, count: int) -> tuple[tuple[float | None, ...], int | None]:
        self.calls.append((node, count))
        return (1.5, None), 2

    def cap(self, group: str, import_w: float | None, export_w: float | None, valid_s: float, reason: str) -> None:
        self.calls.append((group, import_w, export_w, valid_s, reason))
        if self.refuses:
            raise Refused("it is no head", code="NOT_A_HEAD")

    def uncap(self, group: str) -> None:
        self.calls.append((group,))


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def api(source: Source) -> MeshApi:
    return MeshApi(source)


async def test_what_the_node_knows_is_shown(api: MeshApi) -> None:
    assert await api.show(NoParams(), ALICE) == mesh_result()


def test_all_that_is_shown_goes_over_the_socket_and_back() -> None:
    assert msgspec.json.decode(msgspec.json.encode(mesh_result()), type=MeshResult) == mesh_result()


async def test_a_ping_is_answered_with_its_node(api: MeshApi, source: Source) -> None:
    result = await api.ping(MeshPingParams(node="tr-15", count=2), ALICE)
    assert (result.node, result.round_trips_ms, result.hops) == ("tr-15", (1.5, None), 2)
    assert source.calls == [("tr-15", 2)]


async def test_a_cap_is_told_in_the_words_of_operators(api: MeshApi, source: Source) -> None:
    params = MeshCapParams(group="feeder-3", import_w=150e3, export_w=100e3, valid_s=900.0, reason="works")
    result = await api.cap(params, ALICE)
    assert source.calls == [("feeder-3", 150e3, 100e3, 900.0, "works")]
    words = "feeder-3: import at most 150.00 kW and export at most 100.00 kW for 15 min, told to all members"
    assert result.message == words


async def test_a_side_that_is_left_out_is_not_capped_and_a_cap_without_a_reason_names_who_gave_it(
    api: MeshApi, source: Source
) -> None:
    result = await api.cap(MeshCapParams(group="feeder-3", export_w=0.0, valid_s=604_800.0), ALICE)
    assert source.calls == [("feeder-3", None, 0.0, 604_800.0, "by alice")]
    assert result.message == "feeder-3: export at most 0 W for 7 d, told to all members"


async def test_a_refusal_is_the_sources(api: MeshApi, source: Source) -> None:
    source.refuses = True
    with pytest.raises(Refused, match="it is no head"):
        await api.cap(MeshCapParams(group="feeder-3", import_w=1.0, valid_s=900.0), ALICE)


async def test_a_cap_is_ended(api: MeshApi, source: Source) -> None:
    assert "feeder-3 ends within seconds" in (await api.uncap(MeshUncapParams(group="feeder-3"), ALICE)).message
    assert source.calls == [("feeder-3",)]


@pytest.mark.parametrize(
    "params",
    [
        {"group": "g", "valid_s": 4.9},
        {"group": "g", "valid_s": 604_801},
        {"group": "g", "valid_s": 60, "import_w": -1},
        {"group": "g", "valid_s": 60, "export_w": 1e10},
        {"group": "g", "valid_s": 60, "reason": "x" * 121},
        {"group": "g"},
        {"group": "g", "valid_s": 60, "more": 1},
    ],
)
def test_a_cap_out_of_range_is_no_cap(params: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(params, MeshCapParams)


@pytest.mark.parametrize("count", [0, PINGS_AT_MOST + 1])
def test_pings_are_bounded(count: int) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"node": "a", "count": count}, MeshPingParams)
