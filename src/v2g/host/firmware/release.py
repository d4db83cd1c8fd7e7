"""Order of version numbers (PEP 440 without epochs): ``0.9.2 < 0.10.0rc1 < 0.10.0 < 0.10.0.post1``. Pure."""

from __future__ import annotations

import re
from typing import Final

_FORM: Final = re.compile(
    r"(?P<release>\d{1,9}(?:\.\d{1,9}){0,5})(?:(?P<pre>a|b|rc)(?P<pre_n>\d{1,9}))?"
    r"(?:\.post(?P<post>\d{1,9}))?(?:\.dev(?P<dev>\d{1,9}))?(?:\+(?P<local>[a-z0-9]+(?:[.][a-z0-9]+)*))?"
)
_FINAL: Final = ("z", 0)
_LAST: Final = 1 << 62

Key = tuple[tuple[int, ...], tuple[str, int], int, int, str]


def release_key(version: str) -> Key:
    """What sorts as the versions do. Raises ValueError for a text that is no version."""
    match = _FORM.fullmatch(version)
    if match is None:
        raise ValueError(f"{version[:40]!r} is no version number: write it like 0.2.0 or 0.2.0rc1")
    numbers = [int(part) for part in match["release"].split(".")]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    dev = int(match["dev"]) if match["dev"] else _LAST
    post = int(match["post"]) if match["post"] else -1
    # 1.0.dev1 comes before 1.0a1.
    bare_dev = match["dev"] is not None and match["pre"] is None and match["post"] is None
    pre = (match["pre"], int(match["pre_n"])) if match["pre"] else ("", 0) if bare_dev else _FINAL
    return (tuple(numbers), pre, post, dev, match["local"] or "")
