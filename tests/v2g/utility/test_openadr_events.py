from __future__ import annotations

import contextlib
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from v2g.utility.openadr_events import Followed, Reader, follow
from v2g.utility.openadr_wire import (
    Event,
    Members,
    Program,
    Token,
    Ven,
    WireError,
    decode,
    decode_list,
    one_line,
    problem_words,
)
from v2g.utility.signal_book import LOWEST, VTN, SignalBook
from v2g.utility.signals import SignalKind

UNIX_S = 1_675_987_200.0
READER = Reader(ven_name="transformer-12", longest_s=172_800.0)
KW = {"IMPORT_CAPACITY_LIMIT": "KW", "EXPORT_CAPACITY_LIMIT": "KW", "DISPATCH_SETPOINT": "KW"}


def event_json(kind: str, *values: Any, units: str | None = "", **more: Any) -> dict[str, Any]:
    """One interval of an hour from UNIX_S. ``units``: "" for what the type takes, None for no descriptor."""
    units = KW.get(kind) if units == "" else units
    return {
        "id": "e1",
        "createdDateTime": "2023-02-09T00:00:00Z",
        "modificationDateTime": "2023-02-09T00:00:00Z",
        "objectType": "EVENT",
        "programID": "44",
        "eventName": "evening peak",
        "payloadDescriptors": [{"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": kind, "units": units}]
        if units is not None
        else None,
        "intervalPeriod": {"start": "2023-02-10T00:00:00.000Z", "duration": "PT1H"},
        "intervals": [{"id": 0, "payloads": [{"type": kind, "values": list(values)}]}],
        **more,
    }


def read(*objects: dict[str, Any]) -> tuple[Event, ...]:
    members: Members[Event] = decode_list(json.dumps(objects).encode(), Event)
    assert members.notes == ()
    return members.items


def followed(
    *objects: dict[str, Any], reader: Reader = READER, unix_s: float = UNIX_S, **programs: Program
) -> Followed:
    return follow(read(*objects), programs, reader, unix_s, {})


def refusal(*objects: dict[str, Any], reader: Reader = READER) -> str:
    made = followed(*objects, reader=reader)
    assert made.entries == ()
    assert len(made.notes) == 1
    return made.notes[0]


@pytest.mark.parametrize(
    ("kind", "value", "units", "signal", "ours"),
    [
        ("IMPORT_CAPACITY_LIMIT", 20, "KW", SignalKind.CAP, 20e3),
        ("IMPORT_CAPACITY_LIMIT", 0.02, "MW", SignalKind.CAP, 20e3),
        ("IMPORT_CAPACITY_LIMIT", 0, "W", SignalKind.CAP, 0.0),
        ("EXPORT_CAPACITY_LIMIT", 10, "KW", SignalKind.FLOOR, -10e3),
        ("DISPATCH_SETPOINT", 5.5, "KW", SignalKind.SETPOINT, 5500.0),
        ("DISPATCH_SETPOINT", -7, "KW", SignalKind.SETPOINT, -7000.0),
        ("GHG", 241.5, "GHG", SignalKind.CARBON, 241.5),
        ("GHG", 241.5, None, SignalKind.CARBON, 241.5),
    ],
)
def test_each_payload_becomes_its_signal_in_our_units_and_signs(
    kind: str, value: float, units: str, signal: SignalKind, ours: float
) -> None:
    made = followed(event_json(kind, value, units=units))
    assert made.notes == ()
    (entry,) = made.entries
    found = entry.signal
    assert (found.kind, found.value, found.source) == (signal, ours, "OpenADR event 'evening peak'")
    assert (found.starts_unix_s, found.ends_unix_s) == (UNIX_S, UNIX_S + 3600)
    assert (entry.origin, entry.priority) == (VTN, LOWEST)
    assert math.copysign(1, found.value) > 0 or found.value != 0


def test_a_price_has_its_currency_and_several_values_divide_the_interval() -> None:
    """User Guide 3.1, example 7.3-1: three hourly prices in one interval."""
    prices = event_json("PRICE", 0.17, 0.03, 0.11)
    prices["payloadDescriptors"] = [{"payloadType": "PRICE", "units": "KWH", "currency": "USD"}]
    prices["intervals"][0]["intervalPeriod"] = {"start": "2023-02-10T00:00:00.000Z", "duration": "PT3H"}
    made = followed(prices)
    assert made.notes == ()
    assert [(e.signal.value, e.signal.starts_unix_s - UNIX_S, e.unit) for e in made.entries] == [
        (0.17, 0, "USD/kWh"),
        (0.03, 3600, "USD/kWh"),
        (0.11, 7200, "USD/kWh"),
    ]
    cut = followed(prices | {"duration": "PT2H"})
    assert [e.signal.ends_unix_s - UNIX_S for e in cut.entries] == [3600, 7200]
    assert len({e.signal.id for e in made.entries}) == 3


def test_a_price_without_a_descriptor_is_taken_a_kilowatt_hour_and_said() -> None:
    """User Guide 3.1, example 7.2-3."""
    made = followed(event_json("PRICE", 0.17, units=None))
    assert [e.signal.value for e in made.entries] == [0.17]
    assert made.notes == (
        "PRICE of OpenADR event 'evening peak' has no units: taken for a price a kWh",
        "PRICE of OpenADR event 'evening peak' has no currency: only differences between prices count",
    )


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (event_json("IMPORT_CAPACITY_LIMIT", 20, units=None), "no units are told in a payloadDescriptor: it takes KW"),
        (event_json("IMPORT_CAPACITY_LIMIT", 20, units="KWH"), "its units are 'KWH': it takes KW"),
        (event_json("IMPORT_CAPACITY_LIMIT", -20), "a capacity limit is a magnitude"),
        (event_json("EXPORT_CAPACITY_LIMIT", -20), "a capacity limit is a magnitude"),
        (event_json("IMPORT_CAPACITY_LIMIT", 20, 30), "2 values instead of one"),
        (event_json("IMPORT_CAPACITY_LIMIT"), "it has no value"),
        (event_json("DISPATCH_SETPOINT", "much"), "'much' is no number"),
        (event_json("DISPATCH_SETPOINT", True), "'True' is no number"),
        (event_json("DISPATCH_SETPOINT", 10**400), "too large"),
        (event_json("PRICE", 0.1, units="THERMS"), "its units are 'THERMS', not KWH"),
        (event_json("GHG", 0.1, units="KWH"), "not GHG"),
        (event_json("SIMPLE", 2), "set utility.openadr.simple_caps_w"),
        (event_json("SIMPLE", 4), "none of 0, 1, 2, 3"),
        (event_json("IMPORT_CAPACITY_RESERVATION", 5, units="KW"), "payload type IMPORT_CAPACITY_RESERVATION is not"),
        (event_json("ALERT_FLEX_ALERT", "save"), "payload type ALERT_FLEX_ALERT is not followed (in OpenADR event"),
        (event_json("GHG", 1, intervalPeriod={"duration": "PT1H"}), "its first interval has no start"),
        (event_json("GHG", 1, intervalPeriod={"start": "soon"}), "'soon' is no date-time"),
        (event_json("GHG", 1, targets=["group-9"]), "is not for this VEN"),
        (event_json("GHG", 1, targets=[{"type": "VEN_NAME", "values": ["other"]}]), "is not for this VEN"),
    ],
)
def test_what_cannot_be_followed_is_told_with_its_reason(made: dict[str, Any], words: str) -> None:
    assert words in refusal(made)


def test_simple_levels_are_the_caps_of_the_configuration() -> None:
    reader = Reader(ven_name="transformer-12", longest_s=3600.0, simple_caps_w=(20e3, 5e3, -10e3))
    caps = [
        [entry.signal.value for entry in followed(event_json("SIMPLE", level), reader=reader).entries]
        for level in range(4)
    ]
    assert caps == [[], [20e3], [5e3], [-10e3]]


def test_an_unknown_payload_type_is_told_once_for_all_events() -> None:
    made = followed(*(event_json("CURVE", 1, id=f"e{n}", eventName=f"n{n}") for n in range(5)))
    assert made.notes == (
        "payload type CURVE is not followed (in OpenADR event 'n0', OpenADR event 'n1', OpenADR event 'n2' and 2 more)",
    )


def test_targets_of_either_version_find_this_ven() -> None:
    reader = Reader(ven_name="transformer-12", longest_s=3600.0, targets={"group-1", ("SERVICE_AREA", "7")})
    hits = [
        None,
        [],
        ["transformer-12"],
        ["group-9", "group-1"],
        [{"type": "VEN_NAME", "values": ["transformer-12"]}],
        [{"type": "GROUP", "values": ["group-1"]}],
        [{"type": "SERVICE_AREA", "values": ["6", "7"]}],
        [{"type": "PROGRAM_NAME", "values": ["ResTOU"]}],
    ]
    program = {"44": Program(id="44", name="ResTOU")}
    for targets in hits:
        assert followed(event_json("GHG", 1, targets=targets), reader=reader, **program).entries, targets
    for targets in (
        ["7"],
        [{"type": "RESOURCE_NAME", "values": ["transformer-12-a"]}],
        [{"type": "GROUP", "values": []}],
    ):
        assert not followed(event_json("GHG", 1, targets=targets), reader=reader, **program).entries, targets


def test_the_program_s_descriptors_count_where_the_event_has_none() -> None:
    bare = event_json("IMPORT_CAPACITY_LIMIT", 20, units=None)
    program = decode(
        json.dumps(
            {
                "id": "44",
                "programName": "caps",
                "payloadDescriptors": [
                    {"objectType": "REPORT_PAYLOAD_DESCRIPTOR", "payloadType": "IMPORT_CAPACITY_LIMIT", "units": "W"},
                    {"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": "IMPORT_CAPACITY_LIMIT", "units": "KW"},
                ],
            }
        ).encode(),
        Program,
    )
    assert [e.signal.value for e in followed(bare, **{"44": program}).entries] == [20e3]
    own = event_json("IMPORT_CAPACITY_LIMIT", 20, units="MW")
    assert [e.signal.value for e in followed(own, **{"44": program}).entries] == [20e6]


def test_what_is_over_is_left_out_and_what_is_without_end_is_held_for_the_longest_time_from_now() -> None:
    made = event_json("GHG", 1)
    assert followed(made, unix_s=UNIX_S + 3600).entries == ()
    made["intervalPeriod"] = {"start": "0001-01-01T00:00:00", "duration": "P9999Y"}
    (entry,) = followed(made, unix_s=UNIX_S + 50).entries
    assert entry.signal.starts_unix_s == UNIX_S + 50
    assert entry.signal.ends_unix_s == UNIX_S + 50 + 172_800
    (later,) = followed(made, unix_s=UNIX_S + 80).entries
    assert (later.signal.id, later.revision) == (entry.signal.id, entry.revision)
    assert later.signal.ends_unix_s == UNIX_S + 80 + 172_800


def test_priority_is_taken_over_and_a_changed_value_is_another_revision() -> None:
    (a,) = followed(event_json("DISPATCH_SETPOINT", 1, priority=3)).entries
    (b,) = followed(event_json("DISPATCH_SETPOINT", 2, priority=3)).entries
    assert a.priority == b.priority == 3
    assert a.revision != b.revision


def test_two_limits_in_one_interval_are_two_signals() -> None:
    both = event_json("IMPORT_CAPACITY_LIMIT", 20)
    both["payloadDescriptors"].append({"payloadType": "EXPORT_CAPACITY_LIMIT", "units": "KW"})
    both["intervals"][0]["payloads"].append({"type": "EXPORT_CAPACITY_LIMIT", "values": [5]})
    assert {(e.signal.kind.value, e.signal.value) for e in followed(both).entries} == {("cap", 20e3), ("floor", -5e3)}


def test_a_request_for_reports_is_told() -> None:
    made = followed(event_json("GHG", 1, reportDescriptors=[{"payloadType": "USAGE"}]))
    assert made.notes == ("OpenADR event 'evening peak' asks for reports (USAGE): this VEN sends none",)


def test_one_event_that_cannot_be_read_does_not_take_the_others_with_it() -> None:
    good = event_json("GHG", 1)
    body = json.dumps([good, {"id": "no programID"}, 7, good | {"id": "e2", "priority": "high"}, good | {"id": "e3"}])
    members = decode_list(body.encode(), Event)
    assert [event.id for event in members.items] == ["e1", "e3"]
    assert members.count == 5
    assert [note.split(":")[0] for note in members.notes] == [
        f"event number {n} of the VTN is not followed" for n in (1, 2, 3)
    ]


@pytest.mark.parametrize("body", [b"", b"{}", b"[", b"[" * 100_000, b"\xff", b'"x"', b"[NaN]", b"null"])
def test_what_is_no_list_is_an_error_of_words(body: bytes) -> None:
    with pytest.raises(WireError, match="no list of events as OpenADR 3 has it"):
        decode_list(body, Event)


def test_words_of_a_stranger_are_one_bounded_line() -> None:
    assert one_line("a\nb\x1b[2J" + "x" * 500) == "a b [2J" + "x" * 193 + "…"
    assert problem_words(b'{"title": "Bad", "detail": "no"}') == "Bad: no"
    assert problem_words(b"<html>") == ""


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
TIMES = st.sampled_from(["2023-02-10T00:00:00Z", "0001-01-01", "PT1H", "P9999Y", "PT0S", "P1M", "", "x"]) | st.text(
    max_size=12
)
PERIODS = st.fixed_dictionaries({}, optional={"start": TIMES, "duration": TIMES, "randomizeStart": TIMES}) | JSON
KINDS = st.sampled_from([*KW, "PRICE", "GHG", "SIMPLE", "CURVE"])
PAYLOADS = st.fixed_dictionaries(
    {"type": KINDS, "values": st.lists(st.floats(-1e9, 1e9) | st.integers(0, 4), max_size=3)}
)
EVENTS = st.fixed_dictionaries(
    {"id": st.sampled_from(["a", "b", "c"]), "programID": st.just("p")},
    optional={
        "eventName": st.text(max_size=12) | JSON,
        "priority": st.integers(0, 2**40) | JSON,
        "duration": TIMES,
        "targets": st.lists(st.just("transformer-12") | st.text(max_size=6), max_size=2) | JSON,
        "createdDateTime": TIMES,
        "payloadDescriptors": st.lists(
            st.fixed_dictionaries(
                {"payloadType": KINDS}, optional={"units": st.sampled_from(["KW", "W", "KWH", "GHG"])}
            ),
            max_size=4,
        ),
        "intervalPeriod": PERIODS,
        "intervals": st.lists(
            st.fixed_dictionaries(
                {"id": st.integers(), "payloads": st.lists(PAYLOADS, max_size=3)}, optional={"intervalPeriod": PERIODS}
            ),
            max_size=4,
        ),
    },
)


@given(st.lists(EVENTS | JSON, max_size=4))
def test_no_list_of_events_breaks_the_reader_and_what_it_takes_is_sound(objects: list[Any]) -> None:
    members = decode_list(json.dumps(objects).encode(), Event)
    assert members.count == len(objects)
    reader = Reader(ven_name="transformer-12", longest_s=172_800.0, simple_caps_w=(1e3, 0.0, -1e3))
    made = follow(members.items, {}, reader, UNIX_S, {})
    for entry in made.entries:
        signal = entry.signal
        assert math.isfinite(signal.value)
        assert signal.ends_unix_s > UNIX_S
        assert 0 < signal.ends_unix_s - signal.starts_unix_s <= 172_800.0 + 1e-3
    book = SignalBook(172_800.0)
    notes = book.replace(VTN, made.entries, UNIX_S)
    assert len(book) + len(notes) <= len(made.entries) + 1
    assert all(text.isprintable() for text in (*made.notes, *notes, *members.notes))


@given(st.binary(max_size=64))
def test_no_octets_break_the_decoder(body: bytes) -> None:
    for kind in (Event, Program, Ven, Token):
        for read_it in (decode_list, decode):
            with contextlib.suppress(WireError):
                read_it(body, kind)
    assert problem_words(body).isprintable()
