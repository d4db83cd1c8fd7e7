"""The fuzzer itself: it starts from good messages, fails where it should, and a bounded run of each target finds
nothing. ``V2G_FUZZ_RUNS`` and ``V2G_FUZZ_SECONDS`` lengthen that run; ``fuzz.py`` alone does the same with a report."""

from __future__ import annotations

import importlib.util
import os
import random
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from fuzz import checks, conversations, mutators, seeds
from fuzz.checks import Finding, Sampler, check_exi
from fuzz.fuzz import HEADINGS, Outcome, fuzz, write_report
from fuzz.settings import setting_of, staged
from fuzz.targets import MESSAGES, SETTINGS, TARGETS
from pyiso15118 import exi
from pyiso15118.events import ChargingStarted, EndReason, FrameIgnored, MessageReceived, MessageSent, SessionEnded
from pyiso15118.messages import Namespace
from pyiso15118.secc.machine import HANDLERS
from pyiso15118.v2gtp import encode_frame

RUNS = int(os.environ.get("V2G_FUZZ_RUNS", "100000"))
SECONDS = int(os.environ.get("V2G_FUZZ_SECONDS", "6"))
EVERY_TARGET = pytest.mark.parametrize("name", TARGETS)
NEEDS_ATHERIS = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="atheris is not installed (extra: fuzz)"
)
BROKEN_ADDRESSES = """
from ipaddress import IPv6Address
sound = IPv6Address.__init__
def broken(self, address):
    sound(self, address)
    1 / (self.packed[0] == 0xFE)
IPv6Address.__init__ = broken
"""
FRAME = encode_frame(0x8002, b"\x80")


@pytest.mark.soak
@NEEDS_ATHERIS
@EVERY_TARGET
def test_fuzzing_finds_nothing(name: str) -> None:
    outcome = fuzz(name, RUNS, SECONDS)
    assert not outcome.finding, outcome.finding
    assert outcome.runs >= min(RUNS, 200), "hardly any input was run"
    assert outcome.seen["accepted"] > 0, "no input was ever taken"
    assert outcome.seen["memory samples"] > 0


@pytest.mark.soak
@NEEDS_ATHERIS
def test_an_undeclared_exception_is_found_shown_and_given_as_an_input(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(BROKEN_ADDRESSES)
    before = os.environ.get("PYTHONPATH", "")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(tmp_path), before])))
        outcome = fuzz("sdp-response", 300_000, 60)
        assert "ZeroDivisionError" in outcome.finding
        (digits,) = re.findall(r"^crash-\w+: ([0-9a-f]+)$", outcome.finding, re.MULTILINE)
        assert bytes.fromhex(digits)[8] != 0xFE
        (tmp_path / "input").write_bytes(bytes.fromhex(digits))
        assert "ZeroDivisionError" in fuzz("sdp-response", 1, 60, replay=tmp_path / "input").finding


@EVERY_TARGET
def test_what_fuzzing_starts_from_passes(name: str) -> None:
    sampler = Sampler(10**9)
    target = TARGETS[name](sampler)
    samples = list(target.seeds)
    for data in samples[:: max(len(samples) // 40, 1)]:
        target.check(data)
    assert sampler.counts["accepted"] > 0


def test_every_element_of_a_namespace_has_a_seed_of_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seeds, "REFERENCE", Path("nowhere"))
    seeds.messages.cache_clear()
    try:
        for namespace in MESSAGES:
            found = {type(exi.decode(namespace, data)).__name__ for data in seeds.messages(namespace)}
            schema = exi.codec.find(namespace)
            assert found == {name for name, cls in schema.elements.items() if cls not in exi.codec.abstract_types}
    finally:
        seeds.messages.cache_clear()


def test_decoding_that_raises_something_else_is_no_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise KeyError("undeclared")

    monkeypatch.setattr(exi, "decode", broken)
    with pytest.raises(KeyError):
        check_exi(Sampler(10), Namespace.DC, b"\x80")


def test_a_message_that_changes_on_its_way_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    data, other = seeds.messages(Namespace.APP_PROTOCOL)[:2]
    check_exi(Sampler(10), Namespace.APP_PROTOCOL, data)
    monkeypatch.setattr(exi, "encode", lambda *_: other)
    with pytest.raises(Finding, match="which encodes to"):
        check_exi(Sampler(10), Namespace.APP_PROTOCOL, data)


def test_memory_and_work_beyond_the_bounds_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    sampler = Sampler(1)
    sampler.memory(lambda: bytearray(checks.MEMORY_AT_LEAST // 2), 1, ())
    with pytest.raises(Finding, match="bytes held for 1 bytes of input"):
        sampler.memory(lambda: bytearray(checks.MEMORY_AT_LEAST * 2), 1, ())
    data = seeds.messages(Namespace.DC)[0]
    sampler.moves(Namespace.DC, data, False)
    assert sampler.moves_per_bit > 1
    monkeypatch.setattr(checks, "MOVES_PER_BIT", 1)
    with pytest.raises(Finding, match="each bit moved"):
        sampler.moves(Namespace.DC, data, False)


@dataclass(frozen=True)
class Memory:
    seen: int = 0
    live: bool = False


class Careless:
    """A machine that refuses or ignores whatever it hears, and remembers it all the same if ``remembers``."""

    def __init__(self, answer: Any, remembers: str) -> None:
        self.session, self.state, self.closed = Memory(), "waiting", False
        self.answer, self.remembers = answer, remembers
        self.events: list[Any] = []

    def receive_data(self, data: bytes, now: float) -> None:
        if self.remembers:
            self.session = replace(self.session, **{self.remembers: 1})
        self.events = [MessageReceived(name="", message=None, payload=b""), self.answer]
        if isinstance(self.answer, FrameIgnored):
            self.events = [self.answer]

    def command(self, command: Any, now: float) -> None:
        """Whatever it is."""

    def next_deadline(self) -> float | None:
        return None

    def next_event(self) -> Any:
        return self.events.pop(0) if self.events else None


@pytest.mark.parametrize(
    ("answer", "remembers", "found"),
    [
        (SessionEnded(reason=EndReason.FAILED_BY_US, detail="no", response_code=None), "seen", "refused, yet"),
        (SessionEnded(reason=EndReason.FAILED_BY_US, detail="no", response_code=None), "live", None),
        (FrameIgnored(payload_type=1, payload_bytes=0), "live", "ignored, yet"),
        (FrameIgnored(payload_type=1, payload_bytes=0), "", None),
    ],
)
def test_a_refusal_that_leaves_a_trace_is_found(answer: Any, remembers: str, found: str | None) -> None:
    machine: Any = Careless(answer, remembers)
    conversations.Watch(machine)
    if found is None:
        machine.receive_data(FRAME, 0.0)
    else:
        with pytest.raises(Finding, match=found):
            machine.receive_data(FRAME, 0.0)


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ([], "SessionEnded is not last and single"),
        ([SessionEnded(reason=EndReason.STOPPED, detail="", response_code=None)] * 2, "SessionEnded is not last"),
        (
            [ChargingStarted(), SessionEnded(reason=EndReason.STOPPED, detail="", response_code=None)],
            "energy is left on",
        ),
    ],
)
def test_a_session_that_does_not_end_as_it_should_is_found(told: list[Any], found: str) -> None:
    machine: Any = Careless(None, "")
    machine.closed = True
    machine.receive_eof = lambda now: machine.events.extend(told)
    with pytest.raises(Finding, match=found):
        conversations.Watch(machine).finish(0.0)


def test_a_meddler_without_a_plan_lets_a_session_come_to_its_good_end() -> None:
    ends = [event.reason for event in conversations.converse(b"") if isinstance(event, SessionEnded)]
    assert ends == [EndReason.STOPPED, EndReason.STOPPED]


def test_every_request_is_heard_in_the_conversations_from_which_fuzzing_starts() -> None:
    heard, ends = set(), set()
    for setting in SETTINGS:
        for event in conversations.converse(setting):
            if isinstance(event, MessageReceived):
                heard.add(event.name)
            elif isinstance(event, SessionEnded):
                ends.add(event.reason)
    assert {name for name in heard if name.endswith("Req")} == set(HANDLERS)
    assert ends == {EndReason.STOPPED, EndReason.PAUSED}


def test_what_is_asked_beside_the_loop_is_answered() -> None:
    setting = bytes((4, 0, 0))
    to_charger, _ = conversations.known_frames(setting_of(setting))
    schedule, *_ = conversations.side_frames(to_charger)
    answers = []
    for place in range(len(to_charger)):
        told = conversations.charger_hears(setting + bytes((place, 0)) + schedule)
        sent = [event.name for event in told if isinstance(event, MessageSent)]
        answers.append(sent.count("ScheduleExchangeRes"))
    assert max(answers) == 2


@dataclass(frozen=True)
class Inner:
    charging: bool = True
    profile: int = 0


@dataclass(frozen=True)
class Outer:
    transfer: Inner = Inner()
    seen: int = 0


def test_what_belongs_to_an_energy_service_is_told_apart() -> None:
    assert conversations.changes(Outer(), Outer()) == set()
    assert conversations.changes(Outer(), Outer(transfer=Inner(charging=False), seen=1)) == {
        "transfer.charging",
        "seen",
    }
    assert conversations.changes(Outer(), Outer(transfer=Inner(profile=1))) == {"transfer.profile"}


@pytest.mark.parametrize("changes", [{"fault": "hot"}, {"contactors_closed": False}])
def test_energy_in_an_evse_that_is_not_sound_is_found(changes: dict[str, Any]) -> None:
    pair = staged(setting_of(b""))
    watch = conversations.Watch(pair.secc)
    pair.run(stop=lambda: pair.secc.session.charging)
    watch.judge_energy(pair.now)
    evse, at = watch.evse
    watch.evse = replace(evse, **changes), at
    with pytest.raises(Finding, match="energy flows in an EVSE like this"):
        watch.judge_energy(pair.now)
    watch.evse = evse, at - 2.0
    with pytest.raises(Finding, match="after the last word"):
        watch.judge_energy(pair.now)


def test_mutators_keep_the_bound_and_the_prefix_and_make_something_new() -> None:
    def unused(data: bytes, max_size: int) -> bytes:
        return data[:max_size]

    for form in (
        mutators.bitwise(unused, 2, lambda rng, data: None),
        mutators.json_tree(unused, 2, ["Header", "EVCCID"]),
    ):
        made = set()
        for seed in range(300):
            data = b"ab" + b'{"SessionSetupReq": {"EVCCID": "Z", "L": [1, 2]}}'
            changed = form(data, 80, seed)
            assert len(changed) <= 80
            assert changed[:2] == b"ab"
            made.add(changed)
        assert len(made) > 60
        assert form(b"", 80, random.randrange(100)) is not None


def test_a_report_replaces_the_row_of_its_target_and_nothing_else(tmp_path: Path) -> None:
    report = tmp_path / "report.md"
    outcome = Outcome(
        target="lines", runs=1000, seconds=2.0, first_edges=5, edges=9, corpus=3, seen={"accepted": 7}, finding=""
    )
    write_report(report, [outcome, replace(outcome, target="frames")])
    report.write_text(report.read_text() + "\n## Findings\n\n| what |\n| --- |\n| none |\n")
    write_report(report, [replace(outcome, runs=2000, finding="ZeroDivisionError")])
    lines = report.read_text().splitlines()
    assert lines[-5:] == ["## Findings", "", "| what |", "| --- |", "| none |"]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[:-5] if line.startswith("|")]
    assert rows[0] == list(HEADINGS)
    assert [(row[0], row[1], row[-1]) for row in rows[2:]] == [("frames", "1000", "0"), ("lines", "2000", "1")]
