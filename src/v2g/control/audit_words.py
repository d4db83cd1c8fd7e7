"""What a call's parameters and result become in the audit log: short, and without what looks like a secret."""

from __future__ import annotations

import re
from typing import Any

import msgspec

_SECRET = re.compile(
    r"pass(word|wd|phrase|code)|secret|token|credential|private|(^|[_-])(pin|puk|psk|pwd)($|[_-])", re.I
)
_HIDDEN = "…"
_MOST_DEPTH = 8


def compact(value: Any, limit: int) -> str:
    """As JSON, clipped. No method takes a secret; what somebody sends all the same is not kept."""
    return clipped(msgspec.json.encode(_without_secrets(value, 0)).decode("utf-8", "replace"), limit)


def clipped(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}…"


def is_secret(name: str) -> bool:
    """Whether a parameter of this name would be one."""
    return _SECRET.search(name) is not None


def _without_secrets(value: Any, depth: int) -> Any:
    if depth > _MOST_DEPTH:
        return _HIDDEN
    if isinstance(value, dict):
        return {
            name: _HIDDEN if isinstance(name, str) and is_secret(name) else _without_secrets(each, depth + 1)
            for name, each in value.items()
        }
    if isinstance(value, list):
        return [_without_secrets(each, depth + 1) for each in value]
    return value
