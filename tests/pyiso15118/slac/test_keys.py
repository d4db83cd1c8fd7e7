"""Keys of a powerline network."""

from __future__ import annotations

import pytest

from pyiso15118.errors import LocalProtocolError
from pyiso15118.slac.keys import new_nmk, nid_of


@pytest.mark.parametrize(
    ("nmk", "nid"),
    [
        ("b59319d7e8157ba001b018669ccee30d", "026bcba5354e08"),
        ("3452235445aef2d455feff31a3b303ad", "b1c913b5aa0702"),
    ],
)
def test_a_networks_identifier_derives_from_its_key_as_two_published_pairs_have_it(nmk: str, nid: str) -> None:
    assert nid_of(bytes.fromhex(nmk)).hex() == nid


def test_the_security_level_is_in_the_upper_half_of_the_last_byte() -> None:
    low, high = nid_of(bytes(16)), nid_of(bytes(16), 1)
    assert low[:6] == high[:6]
    assert high[6] == low[6] | 0x10


def test_what_is_no_key_is_refused() -> None:
    for nmk, level in ((bytes(15), 0), (bytes(16), 4)):
        with pytest.raises(LocalProtocolError):
            nid_of(nmk, level)
    with pytest.raises(LocalProtocolError, match="3 bytes"):
        new_nmk(lambda count: b"abc")
