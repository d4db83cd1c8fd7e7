"""The manual's spellings of a command line: ``--dispatch`` is the verb ``dispatch``, and a pasted dash is a dash."""

from __future__ import annotations

from collections.abc import Collection, Sequence

_DASHES = "-‐‑‒–—―−﹣－"
"""Hyphen-minus and what word processors and PDF viewers make of it or of two."""


def normalise(argv: Sequence[str], verbs: Collection[str]) -> list[str]:
    """``["–-dispatch", "--mode=idle"]`` -> ``["dispatch", "--mode=idle"]``.

    A verb written as an option (``--dispatch``, or ``--dispatch`` behind other options) becomes the first word, unless
    a first word is there already; ``--min-soc=30`` is ``min-soc 30``. Arguments behind ``--`` stay as they are.
    """
    head, tail = list(argv), []
    if "--" in head:
        at = head.index("--")
        head, tail = head[:at], head[at:]
    head = [_plain_dashes(word) for word in head]
    if head and head[0].startswith("-"):
        for position, word in enumerate(head):
            verb, equals, value = word[2:].partition("=")
            if word.startswith("--") and verb in verbs:
                head = [verb, *([value] if equals else []), *head[:position], *head[position + 1 :]]
                break
    return head + tail


def _plain_dashes(word: str) -> str:
    body = word.lstrip(_DASHES)
    lead = word[: len(word) - len(body)]
    if not lead or not body or lead.strip("-") == "":
        return word
    name = body.split("=", 1)[0]
    return f"-{body}" if len(name) == 1 and len(lead) == 1 else f"--{body}"
