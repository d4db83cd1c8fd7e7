"""What a side of the wire generates before its first message, and what it leaves out."""

from __future__ import annotations

import subprocess
import sys

import pytest

_LOOK = """
import sys
from pyiso15118 import exi
from pyiso15118.exi import compiler
from pyiso15118.exi.schema import find
from pyiso15118.messages import Namespace

sends, receives = sys.argv[1:]
steps = sum(1 for _ in exi.preparing(Namespace.COMMON_MESSAGES, Namespace.DC, sends=sends))
late = []
monitored = compiler.compile = lambda *of: late.append(of[1]) or compile(*of)
elements = {n: c for each in (Namespace.COMMON_MESSAGES, Namespace.DC) for n, c in find(each).elements.items()}
for name, cls in elements.items():
    if name.endswith(sends):
        compiler.encoder_of(cls)
    elif name.endswith(receives):
        compiler.decoder_of(cls)
assert not late, late
for name, cls in elements.items():
    if name.endswith(receives):
        compiler.encoder_of(cls)
print(steps, len(late))
"""


@pytest.mark.parametrize(("sends", "receives"), [("Res", "Req"), ("Req", "Res")])
def test_a_side_has_the_code_of_what_it_sends_and_what_it_gets(sends: str, receives: str) -> None:
    words = [sys.executable, "-c", _LOOK, sends, receives]
    steps, late = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
    assert int(steps) > 20
    assert int(late) > 10
