"""Rules of the house that a reader can break without noticing."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[1] / "src"
MODULES = sorted(SRC.rglob("*.py"))
PURE = [
    *("pyiso15118/exi", "pyiso15118/messages", "pyiso15118/secc", "pyiso15118/evcc", "pyiso15118/machine.py"),
    *("pyiso15118/schedules", "pyiso15118/checks.py", "pyiso15118/paused.py", "pyiso15118/events"),
    *("pyiso15118/v2gtp.py", "pyiso15118/sdp.py", "pyiso15118/capture", "v2g/thermal", "v2g/grid", "v2g/dispatch"),
    *(
        f"v2g/mesh/{name}.py"
        for name in (
            *("roster", "messages", "filling", "side", "node", "node_settings", "book", "head", "topology"),
            *("watch", "region", "gateway", "tables", "envelope", "trust", "alone"),
        )
    ),
]
CLOCK_READERS = {"pyiso15118/aio", "pyiso15118/security/judged_at.py", "v2g/clock.py"}


def name_of(path: Path) -> str:
    return path.relative_to(SRC).as_posix()


def is_within(path: Path, rooms: set[str] | list[str]) -> bool:
    return any(name_of(path) == room or name_of(path).startswith(room + "/") for room in rooms)


def test_no_file_has_more_than_500_lines() -> None:
    long = {name_of(path): n for path in MODULES if (n := len(path.read_text().splitlines())) > 500}
    assert long == {}


@pytest.mark.parametrize("path", [p for p in MODULES if is_within(p, PURE)], ids=name_of)
def test_pure_rooms_never_wait(path: Path) -> None:
    waiting = (ast.Await, ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith)
    assert [node.lineno for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, waiting)] == []


def test_time_is_read_in_one_place() -> None:
    readers = set()
    for path in MODULES:
        text = path.read_text()
        if "import" not in text or "time" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            imported = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            imported += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            now = isinstance(node, ast.Attribute) and node.attr in {"now", "utcnow", "today"}
            clock = now and isinstance(node.value, ast.Name | ast.Attribute) and "datetime" in ast.unparse(node.value)
            if "time" in imported or clock:
                readers.add(name_of(path))
    assert {name for name in readers if not is_within(SRC / name, CLOCK_READERS)} == set()
