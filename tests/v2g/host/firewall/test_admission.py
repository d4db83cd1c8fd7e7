from __future__ import annotations

import contextlib
from typing import Any

import pytest

from support.firewall_kernel import FakeNft, rules
from v2g.host.firewall.admission import SET_FULL, admit, withdraw
from v2g.host.firewall.nft import FirewallError
from v2g.host.firewall.words import WordError

MAC = "00:e0:4c:68:00:1d"
SETS = {"evse1": "plc_macs_evse1", "evse2": "plc_macs_evse2"}


@pytest.fixture
def nft() -> FakeNft:
    found = FakeNft()
    text = rules("a")
    found.load(text.replace("}\n}\n", "}\n\tset plc_macs_evse2 {\n\t\tflags timeout\n\t}\n}\n"))
    return found


def steps(nft: FakeNft) -> list[tuple[str, str, Any]]:
    found = []
    for command in nft.commands:
        ((what, body),) = command.items()
        found.append((what, body["element"]["name"], body["element"]["elem"][0]))
    return found


def test_a_vehicle_is_admitted_anew_in_one_transaction(nft: FakeNft) -> None:
    assert admit(nft, contextlib.nullcontext(), SETS, "evse1", "00E04C68001D", 900.0) == ()
    assert steps(nft) == [
        ("add", "plc_macs_evse1", MAC),
        ("delete", "plc_macs_evse1", MAC),
        ("add", "plc_macs_evse1", {"elem": {"val": MAC, "timeout": 900}}),
    ]


def test_a_vehicle_that_is_matched_elsewhere_leaves_the_link_it_was_on(nft: FakeNft) -> None:
    nft.admitted = {"plc_macs_evse2": {MAC: (900, 100), "00:e0:4c:68:00:1e": (900, 100)}}
    assert admit(nft, contextlib.nullcontext(), SETS, "evse1", MAC, 60.0) == ("evse2",)
    assert ("delete", "plc_macs_evse2", MAC) in steps(nft)


def test_a_full_link_takes_no_more(nft: FakeNft) -> None:
    vehicles = {f"02:00:00:00:{n >> 8:02x}:{n & 255:02x}": (900, 100) for n in range(SET_FULL)}
    nft.admitted = {"plc_macs_evse1": vehicles}
    with pytest.raises(FirewallError, match="withdraw some"):
        admit(nft, contextlib.nullcontext(), SETS, "evse1", MAC, 60.0)
    admit(nft, contextlib.nullcontext(), SETS, "evse1", "02:00:00:00:00:00", 60.0)


def test_a_vehicle_is_withdrawn(nft: FakeNft) -> None:
    nft.admitted = {"plc_macs_evse1": {MAC: (900, 100)}}
    assert withdraw(nft, contextlib.nullcontext(), SETS, "evse1", MAC)
    assert steps(nft)[-1] == ("delete", "plc_macs_evse1", MAC)
    assert not withdraw(nft, contextlib.nullcontext(), SETS, "evse2", MAC)


@pytest.mark.parametrize("for_s", [0.0, 0.5, 604_801.0, float("nan"), float("inf"), -1.0])
def test_a_time_out_of_range_is_refused(nft: FakeNft, for_s: float) -> None:
    with pytest.raises(FirewallError, match="1 s to 7 d"):
        admit(nft, contextlib.nullcontext(), SETS, "evse1", MAC, for_s)
    assert nft.commands == []


def test_what_cannot_be_is_refused_with_the_remedy(nft: FakeNft) -> None:
    with pytest.raises(WordError):
        admit(nft, contextlib.nullcontext(), SETS, "evse1", "x; flush ruleset", 60.0)
    with pytest.raises(FirewallError, match="PLC links are evse1, evse2"):
        admit(nft, contextlib.nullcontext(), SETS, "evse9", MAC, 60.0)
    with pytest.raises(FirewallError, match=r"firewall\.plc_interfaces is empty"):
        admit(nft, contextlib.nullcontext(), {}, "evse1", MAC, 60.0)
    with pytest.raises(FirewallError, match="has no set of vehicles"):
        admit(nft, contextlib.nullcontext(), {"evse9": "plc_macs_evse9"}, "evse9", MAC, 60.0)
    with pytest.raises(FirewallError, match="is not applied"):
        admit(FakeNft(), contextlib.nullcontext(), SETS, "evse1", MAC, 60.0)
