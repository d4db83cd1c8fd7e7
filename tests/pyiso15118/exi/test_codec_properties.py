"""Whatever the schema permits survives the way to EXI and back; of any other bytes comes ExiError and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyiso15118 import exi
from pyiso15118.exi.declarations import Struct
from pyiso15118.exi.schema import abstract_types, find, known_namespaces, schemas
from pyiso15118.messages import Namespace, xmldsig
from pyiso15118.messages.jsonform import from_json, to_json
from support.examples import examples

MESSAGES = [
    (namespace, cls)
    for namespace in known_namespaces()
    for cls in find(namespace).elements.values()
    if cls not in abstract_types and cls is not xmldsig.SignatureProperty and cls is not xmldsig.SignatureProperties
]
"""A SignatureProperty holds nothing but elements of undeclared types, so none can be written."""
EVERY_MESSAGE = pytest.mark.parametrize(
    ("namespace", "cls"),
    MESSAGES,
    ids=[f"{Namespace(namespace).name}-{cls.__name__}" for namespace, cls in MESSAGES],
)

NAMESPACES = [namespace for namespace in Namespace if namespace is not Namespace.COMMON_TYPES]
SLOW = settings(
    max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def check_way_there_and_back(structs: Any, namespace: str, cls: type[Struct], data: st.DataObject) -> None:
    message = data.draw(structs(cls))
    assert exi.decode(namespace, exi.encode(message)) == message
    assert from_json(namespace, json.loads(json.dumps(to_json(message)))) == message


@EVERY_MESSAGE
@settings(max_examples=examples(4), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_message_survives_the_way_there_and_back(
    structs: Any, namespace: str, cls: type[Struct], data: st.DataObject
) -> None:
    check_way_there_and_back(structs, namespace, cls, data)


@pytest.mark.soak
@EVERY_MESSAGE
@settings(max_examples=examples(50), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_message_survives_the_way_there_and_back_many_times(
    structs: Any, namespace: str, cls: type[Struct], data: st.DataObject
) -> None:
    check_way_there_and_back(structs, namespace, cls, data)


@SLOW
@given(namespace=st.sampled_from(NAMESPACES), tail=st.binary(max_size=200), fragment=st.booleans())
def test_random_bytes_give_a_message_or_an_exi_error(namespace: Namespace, tail: bytes, fragment: bool) -> None:
    check_decoding(namespace, b"\x80" + tail, fragment)


@pytest.fixture(scope="module")
def samples(shared_data: Path) -> list[tuple[str, bytes, bool]]:
    with (shared_data / "iso15118" / "vectors.jsonl").open() as lines:
        found = [json.loads(line) for line in lines]
    return [
        (row["namespace"], bytes.fromhex(row["hex"]), row["fragment"])
        for row in found
        if row["namespace"] in schemas and len(row["hex"]) < 4000
    ]


@settings(max_examples=examples(600), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_mutated_messages_give_a_message_or_an_exi_error(
    samples: list[tuple[str, bytes, bool]], data: st.DataObject
) -> None:
    namespace, original, fragment = data.draw(st.sampled_from(samples))
    mutated = bytearray(original)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(1, max(len(mutated) - 1, 1)))
        kind = data.draw(st.sampled_from(["flip", "insert", "delete", "cut", "set"]))
        if kind == "flip" and place < len(mutated):
            mutated[place] ^= 1 << data.draw(st.integers(0, 7))
        elif kind == "insert":
            mutated[place:place] = data.draw(st.binary(min_size=1, max_size=4))
        elif kind == "delete":
            del mutated[place : place + data.draw(st.integers(1, 4))]
        elif kind == "set":
            mutated[place : place + 4] = b"\xff\xff\xff\xff"
        else:
            del mutated[place:]
    check_decoding(namespace, bytes(mutated), fragment)


def check_decoding(namespace: str, data: bytes, fragment: bool) -> None:
    """Either an error that says where, or a message that the encoder accepts and that stays the same."""
    message: Struct | None
    bit = None
    try:
        message = exi.decode_fragment(namespace, data) if fragment else exi.decode(namespace, data)
    except exi.ExiError as error:
        bit = error.bit
        message = None
    if message is None:
        assert bit is not None
        assert 0 <= bit <= 8 * len(data)
        return
    if fragment:
        return
    assert exi.decode(owner(message), exi.encode(message)) == message


def owner(message: Struct) -> str:
    return next(namespace for namespace, schema in schemas.items() if type(message) in schema.types)


def test_after_preparation_nothing_is_left_to_compile(
    samples: list[tuple[str, bytes, bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    exi.prepare(*NAMESPACES)

    def refuse(*_: object) -> None:
        raise AssertionError("compiled late")

    monkeypatch.setattr("pyiso15118.exi.compiler.compile", refuse, raising=False)
    for namespace, data, fragment in samples:
        if not fragment:
            assert exi.encode(exi.decode(namespace, data)) == data


def test_hostile_lengths_cost_no_time_and_no_memory() -> None:
    # A string that claims 2**31 characters, and one that claims more than fits the largest length field.
    start = bytes.fromhex("808c04000000000000000000")
    for claim in ("0201ffffffff0f", "0201ffffffffffffffffff"):
        with pytest.raises(exi.ExiError):
            exi.decode(Namespace.COMMON_MESSAGES, start + bytes.fromhex(claim))


def test_input_longer_than_the_bound_is_refused_unread() -> None:
    with pytest.raises(exi.ExiError, match="at most 65536"):
        exi.decode(Namespace.DC, bytes(65537))
    with pytest.raises(exi.ExiError, match="at most 10 "):
        exi.decode(Namespace.DC, b"\x80" * 11, max_length=10)
