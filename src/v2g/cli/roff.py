"""The few requests of man(7) that manual pages are made of; what they are given is text, never roff."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_NAMED: Final = {
    "\\": "\\e", "-": "\\-", "'": "\\(aq", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti",
    "°": "\\(de", "−": "\\-", "–": "\\(en", "—": "\\(em", "…": "...", "²": "\\(S2", "×": "\\(mu",
    "≥": "\\(>=", "≤": "\\(<=", "→": "\\(->", "µ": "\\(mc", "Δ": "\\(*D", "θ": "\\(*h", "τ": "\\(*t", "Ω": "\\(*W",
    "\N{ZERO WIDTH SPACE}": "\\:",
}  # fmt: skip


_BREAK: Final = "\N{ZERO WIDTH SPACE}"
_LONG: Final = re.compile(r"[^\s]{28,}")
_BREAKS: Final = re.compile(r"([|/,.)\]}])(?=.)")


def escape(text: str) -> str:
    """Text as roff shows it, in ASCII; what man(7) has no name for by its code point. Long words may be broken."""
    text = _LONG.sub(lambda word: _BREAKS.sub(r"\1" + _BREAK, word[0]), text)
    shown = "".join(_NAMED.get(each) or (each if each.isascii() else f"\\[u{ord(each):04X}]") for each in text)
    return f"\\&{shown}" if shown.startswith((".", "'")) else shown


def title(name: str, section: int, source: str, manual: str) -> str:
    """``.TH`` without a date: a page is the same whenever it is made. No hyphens: what is copied has to work."""
    return f'.TH {_quoted(name.upper())} {section} "" {_quoted(source)} {_quoted(manual)}\n.nh\n.ad l\n'


def heading(text: str) -> str:
    return f".SH {_quoted(text)}\n"


def subheading(text: str) -> str:
    return f".SS {_quoted(text)}\n"


def line(text: str) -> str:
    return f"{escape(text)}\n"


def bold(text: str) -> str:
    """Within a line: already escaped."""
    return f"\\fB{escape(text)}\\fR"


def italic(text: str) -> str:
    return f"\\fI{escape(text)}\\fR"


def paragraph(*words: str) -> str:
    """Of words that are escaped already."""
    return f".PP\n{_guarded(' '.join(words))}\n"


def tagged(tag: str, text: str) -> str:
    """``tag`` is escaped already (:func:`bold`), ``text`` is not."""
    return f".TP\n{_guarded(tag)}\n{escape(text) or chr(92) + '&'}\n"


def verbatim(lines: Sequence[str]) -> str:
    """Lines that stay as they are."""
    shown = "\n".join(escape(each) or "\\&" for each in lines)
    return f".PP\n.RS 4\n.nf\n{shown}\n.fi\n.RE\n"


def _quoted(text: str) -> str:
    return '"' + escape(text).replace('"', "\\(dq") + '"'


def _guarded(text: str) -> str:
    return f"\\&{text}" if text.startswith((".", "'")) else text
