from __future__ import annotations

import ipaddress
import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.firewall_plans import FIRST, SECOND, evse, full, large
from v2g.host.firewall.model import Access, Device, EvseLink, Features, Limits, Plan
from v2g.host.firewall.render import admission, render

GOLDEN = Path(__file__).parent / "golden"
ANYBODY = Access(
    source="mesh.listen", networks=(ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")), tcp=(7447,)
)
CASES = {
    "full": render(full()),
    "open_output": render(full(strict=False)),
    "nothing": render(Plan(site="s1")),
    "anybody": render(Plan(site="s1", access=(ANYBODY,))),
    "lacking": render(full(), Features(False, False, False, False)),
}
LINE = re.compile(r'[A-Za-z0-9 _.,:;()\[\]{}*/+@=%!"#<>\t-]*')


def chain(text: str, name: str) -> list[str]:
    (body,) = re.findall(rf"\tchain {name} {{\n(.*?)\n\t}}", text, re.S)
    return [line.strip() for line in body.splitlines()]


@pytest.mark.parametrize("name", CASES)
def test_the_rules_are_byte_for_byte_those_that_were_looked_at(name: str) -> None:
    """After a change that is meant: V2G_GOLDEN=1, then read the difference."""
    path = GOLDEN / f"{name}.nft"
    if os.environ.get("V2G_GOLDEN") == "1":
        path.write_text(CASES[name])
    assert path.read_text() == CASES[name]


@pytest.mark.interop
@pytest.mark.parametrize("name", CASES)
def test_the_kernel_takes_the_rules(name: str) -> None:
    nft = shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin")
    if nft is None or os.geteuid() != 0:
        pytest.skip("needs nft and root")
    done = subprocess.run([nft, "-c", "-f", "-"], input=CASES[name], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.interop
def test_the_kernel_takes_500_evses() -> None:
    nft = shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin")
    if nft is None or os.geteuid() != 0:
        pytest.skip("needs nft and root")
    done = subprocess.run([nft, "-c", "-f", "-"], input=render(large()), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_same_plan_makes_the_same_rules() -> None:
    assert render(large(50)) == render(large(50))


def test_what_comes_in_is_dropped_unless_a_rule_lets_it_in() -> None:
    for name, text in CASES.items():
        rules = chain(text, "input")
        assert rules[0].endswith("policy drop;"), name
        assert "drop" in rules[-1]
        assert not [rule for rule in rules[1:] if "accept" in rule and re.match(r"(counter|limit|accept)\b", rule)]


def test_answers_come_before_everything_that_could_drop_them() -> None:
    rules = chain(CASES["full"], "input")
    (place,) = [n for n, rule in enumerate(rules) if rule.startswith("ct state established,related")]
    assert all(" drop" not in rule and "goto" not in rule for rule in rules[1:place])


def test_an_evse_link_never_gets_to_the_rules_of_others() -> None:
    text = CASES["full"]
    rules = chain(text, "input")
    (udp, dispatch) = [n for n, rule in enumerate(rules) if "@evse_links" in rule]
    (established,) = [n for n, rule in enumerate(rules) if "ct state established" in rule]
    assert (rules[udp], udp < established) == ("meta l4proto udp iifname vmap @evse_links", True)
    assert all(n > dispatch for n, rule in enumerate(rules) if "access_" in rule or "echo" in rule)
    for name in ("evse1", "eth0_10", "evse4"):
        assert " drop " in chain(text, f"from_{name}")[-1]
        assert f": goto from_{name}," in text


def test_evse_links_take_only_link_local_sources_and_their_ports() -> None:
    for rule in chain(CASES["full"], "from_eth0_10"):
        if " accept " in rule:
            assert "fe80::/10" in rule
        if "dport" in rule and "accept" in rule:
            assert re.search(r"dport (15118|15119|49152|49153) ", rule)


def test_known_vehicles_are_the_first_thing_that_is_looked_at() -> None:
    text = CASES["full"]
    assert chain(text, "from_evse1")[0] == "ether saddr != @macs_evse1 goto deny_evse1_mac"
    assert chain(text, "from_evse4")[0] == "ether saddr != @plc_macs_evse4 goto deny_evse4_plc"
    assert f"\t\t\t{FIRST},\n\t\t\t{SECOND}," in text


def test_on_a_shared_link_each_evse_has_its_own_vehicles() -> None:
    rules = chain(CASES["full"], "from_eth0_10")
    of_third = [rule for rule in rules if "US*V2G*E3" in rule]
    assert len(of_third) == 2
    assert all(rule.startswith("ether saddr @macs_eth0_10_1 ") for rule in of_third)
    assert not [rule for rule in rules if "US*V2G*E2" in rule and "ether" in rule]


def test_a_plc_link_with_known_vehicles_wants_both() -> None:
    link = EvseLink(interface="evse1", evses=(evse(1, macs=(FIRST,)),), plc=True)
    rules = chain(render(Plan(site="s", links=(link,))), "from_evse1")
    assert rules[:2] == [
        "ether saddr != @macs_evse1 goto deny_evse1_mac",
        "ether saddr != @plc_macs_evse1 goto deny_evse1_plc",
    ]


def test_modbus_goes_out_to_the_listed_and_to_nobody_else() -> None:
    for name in ("full", "open_output"):
        rules = chain(CASES[name], "output")
        (guard,) = [n for n, rule in enumerate(rules) if "goto deny_modbus_out" in rule]
        assert "{ 502, 802, 1502 }" in rules[guard]
        assert all("@modbus" in rule or "listed" in rule or "lo" in rule for rule in rules[1:guard])
    assert "127.0.0.1" not in CASES["full"]


def test_a_device_given_twice_is_one_element_with_both_sources() -> None:
    assert "192.168.40.11 . 802,  # evses[0].dc.modbus, evses[0].inverter.modbus\n" in CASES["full"]


def test_an_order_of_the_configuration_does_not_change_the_devices() -> None:
    plan = full()
    assert render(replace(plan, devices=plan.devices[::-1])) == render(plan)


def test_without_limits_in_the_kernel_there_is_no_unbounded_log_and_it_says_so() -> None:
    text = render(full(), Features(limit=False))
    assert "log prefix" not in text
    assert "# Left out, the kernel lacks it: limit" in text


def test_without_timeouts_in_the_kernel_plc_links_are_closed() -> None:
    text = render(full(), Features(timeouts=False))
    assert "timeout" not in text.replace("sets with timeouts", "")
    assert "ether saddr != @plc_macs_evse4 goto deny_evse4_plc" in text


def test_no_log_is_written_where_none_is_wanted() -> None:
    assert "log prefix" not in render(replace(full(), limits=Limits(log_per_minute=0)))


def test_every_logged_reason_is_bounded_and_named() -> None:
    logs = [line for line in CASES["full"].splitlines() if "log prefix" in line]
    assert all(
        re.search(r'limit rate \d+/minute burst \d+ packets log prefix "v2g-drop-[^"]+ "$', line) for line in logs
    )
    assert {'"v2g-drop-evse1 "', '"v2g-drop-evse1-mac "', '"v2g-drop-input "', '"v2g-drop-modbus "'} <= {
        line.partition("prefix ")[2] for line in logs
    }


def test_500_evses_are_drawn() -> None:
    text = render(large())
    assert text.count("\tchain from_evse") == 500
    assert '"evse500" : goto from_evse500,' in text


def test_admitted_vehicles_are_put_back_with_what_is_left_of_their_time() -> None:
    assert admission({"plc_macs_evse4": [(FIRST, 43200, 17)]}) == (
        f"add element inet v2g plc_macs_evse4 {{ {FIRST} timeout 43200s expires 17s }}\n"
    )


hostile = st.text(max_size=40) | st.sampled_from(
    ['"; flush ruleset; #', "\n}\ntable inet x {", 'a" accept comment "', "$(reboot)", "\\", "}\x00{"]
)


@given(site=hostile, source=hostile, evse_id=hostile)
def test_no_text_of_the_configuration_becomes_syntax(site: str, source: str, evse_id: str) -> None:
    """Whatever reaches the renderer beside names that were checked: the rules are those of harmless text."""

    def drawn(site: str, source: str, evse_id: str) -> str:
        ports = replace(evse(1), source=source, evse_id=evse_id)
        device = Device(source=source, address=ipaddress.ip_address("10.0.0.1"), port=502)
        return render(Plan(site=site, links=(EvseLink(interface="evse1", evses=(ports,)),), devices=(device,)))

    text = drawn(site, source, evse_id)
    assert all(LINE.fullmatch(line) for line in text.splitlines())
    assert _without_words(text) == _without_words(drawn("s", "x", "y"))


def _without_words(text: str) -> str:
    text = re.sub(r'comment "[^"\n]*"', "comment", text)
    return re.sub(r"#[^\n]*", "#", text).replace(",  #", ",")
