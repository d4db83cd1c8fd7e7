"""RFC 7512: what is taken from a URI, what is refused, and that nothing secret comes back in an error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from v2g.pki.pkcs11_uri import Pkcs11Uri, UriError, parse

PRINTABLE = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=4)


def test_attributes_are_decoded() -> None:
    uri = parse(
        "pkcs11:token=Maple%20Street;serial=98d9%3b;manufacturer=SoftHSM%20project;id=%01%fF;object=a;type=private"
    )
    assert uri == Pkcs11Uri(
        token="Maple Street",
        serial="98d9;",
        manufacturer="SoftHSM project",
        id=b"\x01\xff",
        object="a",
        type="private",
    )


def test_the_scheme_alone_names_any_token() -> None:
    assert parse("PKCS11:") == Pkcs11Uri()


@pytest.mark.parametrize("plain", list(":[]@!$'()*+,=&-._~"))
def test_characters_that_rfc_7512_leaves_plain_are_read_and_written_so(plain: str) -> None:
    assert parse(f"pkcs11:token=a{plain}b").token == f"a{plain}b"
    assert str(Pkcs11Uri(token=f"a{plain}b")) == f"pkcs11:token=a{plain}b"


@pytest.mark.parametrize("bare", [";", "?", "/", " ", '"', "<", "%", "#", "ü"])
def test_other_characters_are_written_as_hexadecimal_digits(bare: str) -> None:
    written = str(Pkcs11Uri(token=f"a{bare}b"))
    assert written == "pkcs11:token=a" + "".join(f"%{byte:02X}" for byte in bare.encode()) + "b"
    assert parse(written).token == f"a{bare}b"


@given(
    token=st.none() | PRINTABLE,
    serial=st.none() | PRINTABLE,
    label=st.none() | PRINTABLE,
    key_id=st.none() | st.binary(min_size=1, max_size=20),
    slot_id=st.none() | st.integers(0, 2**64 - 1),
)
def test_what_is_built_is_read_as_the_same(
    token: str | None, serial: str | None, label: str | None, key_id: bytes | None, slot_id: int | None
) -> None:
    uri = Pkcs11Uri(token=token, serial=serial, object=label, id=key_id, slot_id=slot_id, type="private")
    assert parse(str(uri)) == uri


@pytest.mark.parametrize("text", ["pkcs11:token=v2g?pin-value=271828", "pkcs11:token=v2g;pin-value=271828"])
def test_a_pin_in_a_uri_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(UriError, match="pin_file") as refused:
        parse(text)
    assert "271828" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("pkcs11:token=v2g?module-path=/tmp/evil.so", "pki.token.module"),
        ("pkcs11:token=v2g?module-name=evil", "pki.token.module"),
        ("pkcs11:token=v2g?pin-source=file:/etc/pin", "pki.token.pin_file"),
    ],
)
def test_module_and_pin_come_from_the_configuration_only(text: str, remedy: str) -> None:
    with pytest.raises(UriError, match=remedy):
        parse(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "does not begin"),
        ("file:/etc/key", "does not begin"),
        ("pkcs11:token", "has no value"),
        ("pkcs11:token=", "0 bytes"),
        ("pkcs11:token=a;token=b", "twice"),
        ("pkcs11:token=a;;id=%01", "odd name"),
        ("pkcs11:colour=red", "attribute colour"),
        ("pkcs11:tok\x1ben=red", "odd name"),
        ("pkcs11:token=a?x-vendor=1", "x-vendor"),
        ("pkcs11:library-manufacturer=x", "not looked at"),
        ("pkcs11:token=%4", "two hexadecimal digits"),
        ("pkcs11:token=%zz", "two hexadecimal digits"),
        ("pkcs11:token=a b", "must be written as %"),
        ("pkcs11:token=%ff", "no UTF-8"),
        ("pkcs11:token=%00", "cannot be printed"),
        ("pkcs11:token=%0aERROR:%20all%20is%20lost", "cannot be printed"),
        ("pkcs11:token=" + "a" * 33, "33 bytes"),
        ("pkcs11:id=", "0 bytes"),
        ("pkcs11:id=" + "%01" * 256, "256 bytes"),
        ("pkcs11:type=key", "none of"),
        ("pkcs11:slot-id=-1", "no number"),
        ("pkcs11:slot-id=18446744073709551616", "no number"),
        ("pkcs11:token=" + "a" * 2000, "more than"),
    ],
)
def test_what_is_no_uri_of_a_token_is_refused_with_the_reason(text: str, words: str) -> None:
    with pytest.raises(UriError, match=words):
        parse(text)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    for candidate in (text, f"pkcs11:{text}", f"pkcs11:token=a;{text}"):
        try:
            parse(candidate)
        except UriError:
            pass


@pytest.mark.parametrize(
    ("uri", "matches"),
    [
        ("pkcs11:", True),
        ("pkcs11:token=v2g", True),
        ("pkcs11:token=v2g;serial=01", True),
        ("pkcs11:token=V2G", False),
        ("pkcs11:token=v2g;serial=02", False),
        ("pkcs11:model=other", False),
        ("pkcs11:slot-id=7", True),
        ("pkcs11:slot-id=8", False),
    ],
)
def test_a_token_matches_where_every_attribute_does(uri: str, matches: bool) -> None:
    found = parse(uri).matches_token(token="v2g", manufacturer="maker", serial="01", model="model", slot_id=7)
    assert found is matches
