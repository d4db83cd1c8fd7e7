"""Random messages of any namespace are the bytes that EXIficient writes by the XSD itself.

Unlike the JSON wrapper (``test_against_exificient``), XML loses nothing: Ids, KeyInfo and message sets the wrapper does
not know are compared too.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from pyiso15118 import exi
from pyiso15118.messages import Namespace
from support.examples import examples
from support.exificient import copy_schemas, encoded, peer_python, to_xml
from support.random_messages import drawn, messages_of

CASES = {
    Namespace.WPT: "V2G_CI_WPT.xsd",
    Namespace.ACDP: "V2G_CI_ACDP.xsd",
    Namespace.COMMON_MESSAGES: "V2G_CI_CommonMessages.xsd",
    Namespace.AC: "V2G_CI_AC.xsd",
    Namespace.DC: "V2G_CI_DC.xsd",
}
WRAPPED = {Namespace.COMMON_MESSAGES, Namespace.AC, Namespace.DC}
"""Compared by ``test_against_exificient`` as well, but for what its wrapper loses."""


@pytest.fixture(scope="module")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("xsd")
    copy_schemas(peer_python(), folder)
    return folder


@pytest.mark.interop
@pytest.mark.parametrize("namespace", list(CASES), ids=[namespace.name for namespace in CASES])
def test_random_messages_are_the_bytes_that_exificient_writes_by_the_schema(
    schemas: Path, namespace: Namespace
) -> None:
    messages = drawn(namespace, examples(60 if namespace in WRAPPED else 100))
    assert {type(message) for message in messages} == set(messages_of(namespace))
    answers = encoded(peer_python(), schemas / CASES[namespace], map(to_xml, messages))
    for message, theirs in zip(messages, answers, strict=True):
        assert exi.encode(message).hex() == theirs, to_xml(message)


@pytest.mark.interop
@pytest.mark.parametrize("namespace", [Namespace.WPT, Namespace.ACDP], ids=["WPT", "ACDP"])
def test_fragments_are_the_bytes_that_exificient_writes_by_the_schema(schemas: Path, namespace: Namespace) -> None:
    messages = drawn(namespace, examples(40))
    answers = encoded(peer_python(), schemas / CASES[namespace], map(to_xml, messages), fragment=True)
    for message, theirs in zip(messages, answers, strict=True):
        assert exi.encode_fragment(message, namespace).hex() == theirs, to_xml(message)
