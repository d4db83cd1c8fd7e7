"""Packages against their pins, users, units and sockets, judged."""

from __future__ import annotations

import pytest

from v2g.host.preflight.installation import (
    PinError,
    SocketFacts,
    UnitFacts,
    judge_sockets,
    judge_units,
    judge_users,
    judge_versions,
    keeps,
    parse_pin,
)
from v2g.host.preflight.model import Level


@pytest.mark.parametrize(
    ("pin", "version", "kept"),
    [
        ("click<9,>=8.1", "8.1.7", True),
        ("click<9,>=8.1", "8.1", True),
        ("click<9,>=8.1", "8.0.9", False),
        ("click<9,>=8.1", "9.0", False),
        ("click (>=8.1,<9)", "8.2", True),
        ("pymodbus==3.16.1", "3.16.1", True),
        ("pymodbus==3.16.1", "3.16.2", False),
        ("pymodbus==3.16", "3.16.0", True),
        ("x>=1.10", "1.9", False),
        ("x>=2", "2.0rc1", False),
        ("x<2", "2.0.dev3", True),
        ("x>=2", "2.0.post1", True),
        ("x==2", "2+local", True),
        ("x~=1.4.2", "1.4.9", True),
        ("x~=1.4.2", "1.5.0", False),
        ("x!=1.5", "1.5.0", False),
        ("x==1.4.*", "1.4.12", True),
        ("x==1.4.*", "1.5", False),
        ("x!=1.4.*", "1.4.1", False),
        ("x===1.0", "1.0", True),
        ("x", "0.0.1", True),
        ("x[extra]>=1", "1.2", True),
    ],
)
def test_a_version_keeps_its_pin_or_not(pin: str, version: str, kept: bool) -> None:
    assert keeps(parse_pin(pin), version) is kept


@pytest.mark.parametrize("text", ["", "==1", "x @ https://example.net/x.whl", "x>>1"])
def test_what_is_no_requirement_is_named(text: str) -> None:
    with pytest.raises(PinError, match=r"is no requirement|is not understood"):
        parse_pin(text)


def test_missing_and_foreign_versions_fail_by_name() -> None:
    there = {"click": "8.1.7", "numpy": "3.0"}
    lines = list(judge_versions(["click<9,>=8.1", "numpy<3", "pyyaml>=6"], there.get))
    assert [(line.level, line.found) for line in lines] == [
        (Level.FAIL, "numpy 3.0 is installed; numpy<3 is needed"),
        (Level.FAIL, "pyyaml is not installed; pyyaml>=6 is needed"),
        (Level.PASS, "1 packages as pinned"),
    ]


def test_an_extra_counts_where_the_configuration_needs_it() -> None:
    needs = ['python-pkcs11==0.10.1; extra == "hsm"', "comtrade>=0.1; extra == 'replay'", "click>=8"]
    versions = {"click": "8.1"}.get
    assert [line.level for line in judge_versions(needs, versions)] == [Level.PASS]
    with_token = list(judge_versions(needs, versions, frozenset({"hsm"})))
    assert (with_token[0].level, "python-pkcs11" in with_token[0].found) == (Level.FAIL, True)


def test_without_metadata_there_is_nothing_to_compare_with() -> None:
    (line,) = judge_versions(None, {}.get)
    assert (line.level, "not installed as a package" in line.found) == (Level.WARN, True)
    (strange,) = judge_versions(["x>=1"], {"x": "not a version"}.get)
    assert strange.level is Level.WARN


def test_a_daemon_s_missing_user_fails_and_a_role_s_missing_group_warns() -> None:
    lines = list(judge_users({"v2g": True, "v2g-guard": False}, {"v2g": True}, {"v2g-viewer": False}))
    assert [(line.level, line.found) for line in lines] == [
        (Level.FAIL, "no user v2g-guard: the daemons cannot start"),
        (Level.WARN, "no group v2g-viewer: its role has no members"),
    ]
    (good,) = judge_users({"v2g": True}, {"v2g": True}, {"v2g-viewer": True})
    assert good.level is Level.PASS


def test_units_are_told_by_what_is_wrong_with_them() -> None:
    units = [
        UnitFacts("a.service", "/lib/a.service", enabled=True),
        UnitFacts("b.service", "/lib/b.service"),
        UnitFacts("c.service", masked=True),
        UnitFacts("d.service"),
        UnitFacts("e.timer", needed=False),
        UnitFacts("f.service", "/lib/f.service", wanted=False),
    ]
    lines = list(judge_units(True, units))
    assert [(line.level, line.found) for line in lines] == [
        (Level.FAIL, "not installed: d.service"),
        (Level.WARN, "not installed: e.timer"),
        (Level.WARN, "masked: c.service"),
        (Level.WARN, "not enabled: b.service: not started after a boot"),
        (Level.PASS, "2 installed, and enabled where they have to be"),
    ]
    assert lines[3].remedy == "systemctl enable --now b.service"
    (without,) = judge_units(False, units)
    assert without.level is Level.WARN


def test_a_socket_left_by_a_dead_daemon_warns_and_what_is_no_socket_fails() -> None:
    lines = list(
        judge_sockets(
            [
                SocketFacts("/run/v2g/control.sock", "dead", "v2g-orchestrator"),
                SocketFacts("/run/v2g/wires.sock", "other", "v2g-guard-wires"),
                SocketFacts("/run/v2g/tick.sock", "answers", "v2g-guard-tick"),
                SocketFacts("/run/v2g/plc.sock", "absent", "kplc-driver"),
            ]
        )
    )
    assert [line.level for line in lines] == [Level.WARN, Level.FAIL, Level.PASS]
    assert "journalctl -u v2g-orchestrator" in lines[0].remedy
    (none,) = judge_sockets([SocketFacts("/run/v2g/control.sock", "absent", "x")])
    assert none.level is Level.PASS
