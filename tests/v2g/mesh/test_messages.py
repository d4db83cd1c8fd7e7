"""Messages of a mesh: what is said comes out as it was said, and what is no message is refused in words."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from v2g.mesh.messages import (
    MOST_C,
    MOST_MEMBERS,
    MOST_W,
    MOST_WH,
    Cap,
    Flexible,
    Message,
    MessageError,
    Ping,
    Pong,
    Range,
    Seen,
    State,
    decode,
    encode,
)

POWERS = st.floats(-MOST_W, MOST_W)
NAMES = st.text(min_size=1, max_size=64)
WORDS = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=160)
TOKENS = st.integers(-(1 << 62), 1 << 62)
RANGES = st.tuples(POWERS, POWERS).map(lambda pair: Range(min(pair), max(pair)))
SEEN = st.builds(Seen, st.integers(0, 1 << 62), st.integers(0, 1 << 40))
ENERGIES = st.floats(-MOST_WH, MOST_WH)
STATES = st.builds(
    State,
    member=NAMES,
    flow_w=st.none() | POWERS,
    base_w=st.none() | POWERS,
    floor=st.builds(Range, POWERS, POWERS),
    wish=RANGES,
    claim=RANGES,
    ask=RANGES,
    capability=RANGES,
    ahead=RANGES,
    top_oil_c=st.none() | st.floats(-MOST_C, MOST_C),
    hot_spot_c=st.none() | st.floats(-MOST_C, MOST_C),
    flexible=st.builds(Flexible, vehicles=st.integers(0, 100_000), needed_wh=ENERGIES, surplus_wh=ENERGIES),
    permit=WORDS,
    seen=st.dictionaries(NAMES, SEEN, max_size=8),
    links=st.lists(NAMES.filter(str.isprintable), max_size=8).map(tuple),
    version=WORDS,
)
LIMITS = st.floats(0, MOST_W)
MESSAGES = st.one_of(
    STATES,
    st.builds(Cap, group=NAMES, import_w=LIMITS, export_w=LIMITS, reason=WORDS),
    st.builds(Ping, to=NAMES, token=TOKENS),
    st.builds(Pong, to=NAMES, token=TOKENS),
)
NUMBERS = ("flow_w", "base_w", "top_oil_c", "hot_spot_c")
UPRIGHT = ("wish", "claim", "ask", "capability", "ahead")
NONE = Range(0.0, 0.0)


def plain(**changed: Any) -> dict[str, Any]:
    """A state as it is on the wire, with some fields changed."""
    state = State(
        member="tr-1", flow_w=1.0, base_w=1.0, floor=NONE, wish=NONE, claim=NONE, ask=NONE, capability=NONE, ahead=NONE
    )
    return {**msgspec.to_builtins(state), **changed}


def read(**changed: Any) -> Message:
    return decode(msgspec.msgpack.encode(plain(**changed)))


@given(MESSAGES)
def test_what_is_encoded_is_decoded_as_it_was(message: Message) -> None:
    assert decode(encode(message)) == message


@given(st.binary(max_size=300))
def test_bytes_of_any_kind_are_a_message_or_refused_as_none(data: bytes) -> None:
    try:
        message = decode(data)
    except MessageError:
        return
    assert decode(encode(message)) == message


@given(MESSAGES, st.data())
def test_a_message_with_a_byte_changed_is_another_message_or_none(message: Message, data: st.DataObject) -> None:
    sound = encode(message)
    place = data.draw(st.integers(0, len(sound) - 1))
    changed = sound[:place] + bytes([data.draw(st.integers(0, 255))]) + sound[place + 1 :]
    try:
        found = decode(changed)
    except MessageError:
        return
    assert decode(encode(found)) == found


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1.1e9, -1.1e9, "1", True, [1.0]])
def test_a_number_that_is_none_or_beyond_all_sense_is_refused(name: str, value: object) -> None:
    with pytest.raises(MessageError, match=rf"\$\.{name}"):
        read(**{name: value})


@pytest.mark.parametrize("name", [*UPRIGHT, "floor"])
@pytest.mark.parametrize("pair", [[math.nan, 0.0], [0.0, math.nan], [-math.inf, 0.0], [0.0, 1e10], [0.0], "ab", None])
def test_a_range_of_what_is_no_power_is_refused(name: str, pair: object) -> None:
    with pytest.raises(MessageError, match=rf"\$\.{name}"):
        read(**{name: pair})


@pytest.mark.parametrize("name", UPRIGHT)
def test_a_range_upside_down_is_refused_by_name(name: str) -> None:
    with pytest.raises(MessageError, match=f"state of tr-1: {name} 2..1 W is upside down"):
        read(**{name: [2.0, 1.0]})


def test_the_two_floors_may_stand_above_each_other() -> None:
    state = read(floor=[2.0, 1.0])
    assert isinstance(state, State)
    assert state.floor == Range(2.0, 1.0)


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ({"flexible": {"needed_wh": math.nan}}, r"\$\.flexible\.needed_wh"),
        ({"flexible": {"surplus_wh": -1e10}}, r"\$\.flexible\.surplus_wh"),
        ({"flexible": {"vehicles": -1}}, r"\$\.flexible\.vehicles"),
        ({"seen": {"a": [-1, 0]}}, r"\$\.seen"),
        ({"seen": {"a": [1, -1]}}, r"\$\.seen"),
        ({"seen": {"a": [1 << 63, 1]}}, r"\$\.seen"),
        ({"seen": {"": [1, 1]}}, r"\$\.seen"),
        ({"seen": {"a" * 65: [1, 1]}}, r"\$\.seen"),
        ({"seen": {str(number): [1, 1] for number in range(MOST_MEMBERS + 1)}}, r"\$\.seen"),
        ({"links": [str(number) for number in range(MOST_MEMBERS + 1)]}, r"\$\.links"),
        ({"links": [""]}, r"\$\.links"),
        ({"permit": "a" * 161}, r"\$\.permit"),
        ({"version": "a" * 161}, r"\$\.version"),
        ({"member": ""}, r"\$\.member"),
        ({"member": "a" * 65}, r"\$\.member"),
        ({"type": "order"}, "order"),
        ({"type": None}, "not a message"),
        ({"type": "cap"}, "group"),
    ],
)
def test_a_field_beyond_its_bounds_is_refused_by_name(changed: dict[str, Any], where: str) -> None:
    with pytest.raises(MessageError, match=where):
        read(**changed)


@pytest.mark.parametrize("name", ["import_w", "export_w"])
@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf, 2e9])
def test_a_cap_below_nothing_or_beyond_all_sense_is_refused(name: str, value: float) -> None:
    cap = {"type": "cap", "group": "feeder", "import_w": 1.0, "export_w": 1.0, name: value}
    with pytest.raises(MessageError, match=rf"\$\.{name}"):
        decode(msgspec.msgpack.encode(cap))


@pytest.mark.parametrize("name", sorted(set(plain()) - {"type"}))
def test_a_state_without_one_of_the_fields_that_count_is_refused(name: str) -> None:
    fields = plain()
    del fields[name]
    data = msgspec.msgpack.encode(fields)
    if name in {"top_oil_c", "hot_spot_c", "flexible", "permit", "seen", "links", "version"}:
        assert isinstance(decode(data), State)
    else:
        with pytest.raises(MessageError, match=name):
            decode(data)


def test_fields_of_a_later_version_are_passed_over() -> None:
    assert read(colour="green", depth={"a": [1, {"b": None}]}) == read()


def test_as_many_members_as_there_may_be_are_taken() -> None:
    names = [str(number) for number in range(MOST_MEMBERS)]
    state = read(seen={name: [1, 1] for name in names}, links=names)
    assert isinstance(state, State)
    assert len(state.seen) == len(state.links) == MOST_MEMBERS


def test_text_that_would_spoil_a_terminal_is_made_plain() -> None:
    state = read(permit="a\x1b[31mb\n", version="\u202e1")
    cap = decode(encode(Cap(group="feeder", import_w=1.0, export_w=1.0, reason="\x07fire")))
    assert isinstance(state, State)
    assert (state.permit, state.version) == ("a?[31mb?", "?1")
    assert isinstance(cap, Cap)
    assert cap.reason == "?fire"


def test_nesting_without_end_is_refused() -> None:
    with pytest.raises(MessageError, match="not a message"):
        decode(b"\x82\xa4type\xa5state\xa1x" + b"\x91" * 30_000)
