"""What the daemon and its signing process say to each other: one JSON object a line. Never a PIN."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from v2g.pki.token_access import Refusal, TokenProblem

LONGEST_LINE: Final = 16_384
"""Bytes, either way."""


class Start(Struct, frozen=True, kw_only=True):
    """The first line. ``refusal``: what an earlier process learned of the PIN."""

    module: str
    pin_file: str
    refusal: Refusal | None = None


class SignRequest(Struct, frozen=True, kw_only=True):
    """``uri`` of a private key."""

    uri: str
    digest: bytes


class SignAnswer(Struct, frozen=True, kw_only=True):
    """A signature in DER, or why there is none; after a failure the process ends, its successor begins afresh."""

    signature: bytes = b""
    problem: TokenProblem | None = None
    words: str = ""
    refusal: Refusal | None = None
