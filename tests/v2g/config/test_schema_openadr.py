from __future__ import annotations

from typing import Any

import msgspec
import pytest

from v2g.config.schema_openadr import OpenAdr

LEAST = {
    "url": "https://vtn.example/openadr3/3.1.0",
    "client_id": "t12",
    "client_secret_file": "/etc/v2g/secrets/vtn",
    "ven_name": "transformer-12",
}


def test_four_settings_are_enough_and_nothing_is_followed_that_was_not_settled() -> None:
    made = msgspec.convert(LEAST, OpenAdr)
    assert (made.poll_s, made.timeout_s, made.program, made.targets) == (30.0, 10.0, "", ())
    assert made.simple_caps_w is None


def test_simple_levels_have_a_cap_each_and_may_ask_for_discharge() -> None:
    made = msgspec.convert(LEAST | {"simple_caps_w": [20_000, 0, -5_000]}, OpenAdr)
    assert made.simple_caps_w == (20e3, 0.0, -5e3)


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "vtn.example"},
        {"ven_name": ""},
        {"client_secret": "in the open"},
        {"poll_s": 1},
        {"timeout_s": 600},
        {"simple_caps_w": [20_000, 0]},
        {"targets": [""]},
    ],
)
def test_what_cannot_be_meant_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(LEAST | changes, OpenAdr)
