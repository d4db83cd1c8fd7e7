"""Random DER messages are the bytes that EXIficient writes by ISO's own schema, which the declarations give."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from pyiso15118 import exi
from pyiso15118.exi.declarations import Struct
from pyiso15118.exi.grammar import fields_of
from pyiso15118.exi.schema import find
from pyiso15118.messages import Namespace, xmldsig
from support import iso_layout_iec, iso_layout_sae
from support.examples import examples
from support.exificient import copy_schemas, encoded, peer_python, to_xml
from support.random_messages import drawn, drawn_of

pytestmark = pytest.mark.interop


TEXTS = {Namespace.AC_DER_IEC: iso_layout_iec.text, Namespace.AC_DER_SAE: iso_layout_sae.text}


@pytest.fixture(params=list(TEXTS), ids=[namespace.name for namespace in TEXTS])
def namespace(request: pytest.FixtureRequest) -> Namespace:
    found: Namespace = request.param
    return found


@pytest.fixture
def schema(namespace: Namespace, tmp_path: Path) -> Path:
    copy_schemas(peer_python(), tmp_path)
    path = tmp_path / "der.xsd"
    path.write_text(TEXTS[namespace]())
    return path


def messages_with_every_mode(namespace: Namespace, number: int) -> list[Struct]:
    """Random messages, and random DER modes each in a message that may carry it."""
    found = drawn(namespace, max(number // 2, 2))
    carriers = {
        datatype: (message, field.name)
        for message in found
        for field in fields_of(type(message))
        for datatype in field.datatypes
        if len(field.datatypes) > 1
    }
    modes = [cls for name, cls in find(namespace).elements.items() if name.startswith("DER_")]
    assert len(modes) == 6
    for cls in modes:
        carrier, name = carriers[cls]
        found += [replace(carrier, **{name: mode}) for mode in drawn_of(cls, number)]
    return found


def test_random_der_messages_are_the_bytes_that_exificient_writes(namespace: Namespace, schema: Path) -> None:
    messages = messages_with_every_mode(namespace, examples(30))
    answers = encoded(peer_python(), schema, map(to_xml, messages))
    for message, theirs in zip(messages, answers, strict=True):
        assert exi.encode(message).hex() == theirs, to_xml(message)
        assert exi.decode(namespace, bytes.fromhex(theirs)) == message


def test_a_signed_fragment_has_the_event_codes_of_the_schema_with_its_imports(
    namespace: Namespace, schema: Path
) -> None:
    signed_info = xmldsig.SignedInfo(
        CanonicalizationMethod=xmldsig.CanonicalizationMethod(Algorithm="http://www.w3.org/TR/canonical-exi/"),
        SignatureMethod=xmldsig.SignatureMethod(Algorithm="http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512"),
        Reference=[
            xmldsig.Reference(
                URI="#id1",
                DigestMethod=xmldsig.DigestMethod(Algorithm="http://www.w3.org/2001/04/xmlenc#sha512"),
                DigestValue=bytes(range(64)),
            )
        ],
    )
    (theirs,) = encoded(peer_python(), schema, [to_xml(signed_info)], fragment=True)
    assert exi.encode_fragment(signed_info, namespace).hex() == theirs
