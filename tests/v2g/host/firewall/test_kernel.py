from __future__ import annotations

import json
import os
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.firewall_plans import full
from v2g.host.firewall import kernel
from v2g.host.firewall.render import admission, render

RULE = {
    "rule": {
        "chain": "input",
        "handle": 5,
        "comment": "firewall.utility[0]: tcp",
        "expr": [{"match": {"op": "=="}}, {"counter": {"packets": 3, "bytes": 180}}, {"accept": None}],
    }
}
SET = {
    "set": {
        "name": "plc_macs_evse1", "handle": 2, "flags": ["timeout"], "timeout": 43200,
        "elem": [
            {"elem": {"val": "00:e0:4c:68:00:1d", "timeout": 900, "expires": 899}},
            {"elem": {"val": "00:e0:4c:68:00:1e", "expires": 12}},
            "00:e0:4c:68:00:1f",
        ],
    }
}  # fmt: skip
NETWORKS = {"set": {"name": "access_0_v4", "elem": ["10.0.0.1", {"prefix": {"addr": "10.1.0.0", "len": 16}}]}}


def test_counters_come_with_their_words() -> None:
    assert kernel.counters([RULE, SET]) == (kernel.Counter("input", "firewall.utility[0]: tcp", "accept", 3, 180),)


def test_admitted_vehicles_come_with_what_is_left() -> None:
    found = [(one.mac, one.whole_s, one.left_s) for one in kernel.admitted([RULE, SET])]
    assert found == [
        ("00:e0:4c:68:00:1d", 900, 899),
        ("00:e0:4c:68:00:1e", 43200, 12),
        ("00:e0:4c:68:00:1f", 43200, 0),
    ]
    assert kernel.plc_sets([SET, NETWORKS]) == ("plc_macs_evse1",)


def test_counts_handles_and_vehicles_are_no_difference() -> None:
    later = json.loads(json.dumps([RULE, SET, NETWORKS]))
    later[0]["rule"]["expr"][1]["counter"] = {"packets": 9, "bytes": 999}
    later[0]["rule"]["handle"] = 77
    later[1]["set"]["elem"] = []
    later[2]["set"]["elem"].reverse()
    assert kernel.differences(kernel.shape([RULE, SET, NETWORKS]), kernel.shape(later)) == ()


def test_a_rule_more_or_less_and_another_order_are_told() -> None:
    put = kernel.shape([RULE, NETWORKS])
    assert (
        "gone: rule of chain input 'firewall.utility[0]: tcp'" in kernel.differences(put, kernel.shape([NETWORKS]))[0]
    )
    assert kernel.differences(put, kernel.shape([RULE])) == ("gone: set access_0_v4",)
    assert "not ours: rule" in kernel.differences(kernel.shape([NETWORKS]), put)[0]
    assert kernel.differences(put, put[::-1]) == ("the order of the rules is another one",)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["rule", "set", "elem", "expr", "counter", "val", "name", "flags", "timeout", "chain"]),
            inner,
        )
    ),
    max_leaves=20,
)


@given(
    st.lists(st.dictionaries(st.sampled_from(["rule", "set", "table", "chain"]), json_values, max_size=3), max_size=4)
)
def test_whatever_is_listed_breaks_nothing(objects: list[dict[str, object]]) -> None:
    kernel.counters(objects)
    kernel.admitted(objects)
    kernel.plc_sets(objects)
    kernel.differences(kernel.shape(objects), ())


@pytest.mark.interop
def test_what_the_kernel_lists_of_our_rules_is_understood() -> None:
    if os.geteuid() != 0 or shutil.which("nft", path="/usr/sbin") is None:
        pytest.skip("needs nft and root")
    text = render(full()) + admission({"plc_macs_evse4": [("00:e0:4c:68:00:1d", 900, 600)]})
    script = ["unshare", "--net", "sh", "-c", "/usr/sbin/nft -f - && /usr/sbin/nft -j list table inet v2g"]
    done = subprocess.run(script, input=text, capture_output=True, text=True, check=True)
    objects = json.loads(done.stdout)["nftables"]
    counted = [one for one in kernel.counters(objects) if one.words]
    assert len(counted) == text.count(" counter ") + text.count("\tcounter ")
    assert {one.verdict for one in counted} == {"accept", "drop"}
    (admitted,) = kernel.admitted(objects)
    assert (admitted.mac, admitted.whole_s, 598 <= admitted.left_s <= 600) == ("00:e0:4c:68:00:1d", 900, True)
