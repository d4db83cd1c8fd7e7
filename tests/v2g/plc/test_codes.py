"""Whatever kplc-driver writes into a log can be looked up."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from v2g.telemetry import catalogue

PLC = Path(__file__).resolve().parents[3] / "src/v2g/plc"
CODE = re.compile(r"0xE[0-9A-F]+|[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")


def codes() -> set[str]:
    nodes = (node for path in PLC.glob("*.py") for node in ast.walk(ast.parse(path.read_text())))
    texts = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return {text for text in texts if CODE.fullmatch(text)}


def test_every_code_is_explained() -> None:
    found = codes()
    assert {"0xEF22", "PLC_LINK", "PLC_LINK_LOST", "PLC_ATTENUATION", "PLC_MODEM", "PLC_KEY_LEFT"} <= found
    assert {code for code in found if catalogue.find(code) is None} == set()


@pytest.mark.parametrize("words", ["0xEF22", "0xef22", "ef22", "PLC handshake failed", "PLC_DRIVER", "PLC_NOT_MATCHED"])
def test_what_an_operator_types_is_found(words: str) -> None:
    assert catalogue.find(words) is not None
