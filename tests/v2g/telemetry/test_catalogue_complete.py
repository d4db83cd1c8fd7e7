"""Every code that one of our processes may write into a log is explained: the sources are read for them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from pyiso15118.events import EndReason
from v2g.control.rpc import ErrorCode
from v2g.grid.protection import Block
from v2g.telemetry import catalogue

SRC = Path(__file__).resolve().parents[3] / "src"
WRITERS = {
    *("info", "warning", "error", "event", "_audit", "audit", "_say", "_tell", "tell", "remark_on", "log", "_repeat"),
    *("TlsNote", "Watch"),
}
CODE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")
SINGLE = re.compile(r"[A-Z0-9]{2,}")
ROOMS = (
    "control",
    "dispatch",
    "grid",
    "guard",
    "mesh",
    "orchestrator",
    "pki",
    "planning",
    "plc",
    "sessions",
    "telemetry",
)
"""Of the daemons: each name of a code's form in them is one, or is listed here."""
NO_CODES = {
    *("OPENBLAS_NUM_THREADS", "V2G_SOCKET", "V2G_SIMULATION", "V2G_SIMULATION_THERMAL_SPEED", "XDG_RUNTIME_DIR"),
    *("V2G_SIMULATION_THERMAL_BEGIN", "OPENSSL_CONF", "OPENSSL_MODULES", "OPENSSL_ENGINES", "PKCS11_MODULE_PATH"),
    *("CREDENTIALS_DIRECTORY", "LC_ALL", "JOURNAL_STREAM"),  # of the environment
    *("SYSLOG_FACILITY", "SYSLOG_IDENTIFIER", "LOST_BEFORE"),  # fields of the journal
    *("KEY_VALUES_MISMATCH",),  # reasons of OpenSSL
}
ELSEWHERE = {
    "pyiso15118/aio/evse.py": "constants of the package, read below",
    "pyiso15118/aio/server.py": "constants of the package, read below",
    "v2g/guard/tick_operator.py": "names of grid, guard",
    "v2g/guard/tick_telling.py": "names of grid, guard",
    "v2g/guard/quality_process.py": "events of grid and guard",
    "v2g/guard/wires_devices.py": "names in the same place",
    "v2g/guard/wires_filter.py": "events of guard/harmonic_control.py",
    "v2g/orchestrator/audit_trail.py": "ORDERS and SIGNALS, restored or dropped: below",
    "v2g/orchestrator/credentials.py": "names in pki",
    "v2g/orchestrator/cycle.py": "shortfalls of dispatch",
    "v2g/orchestrator/main.py": "remarks on TLS",
    "v2g/orchestrator/pki_api.py": "codes of refusals",
    "v2g/orchestrator/reload.py": "codes of refusals",
    "v2g/orchestrator/surroundings.py": "of plan_runner.py",
    "v2g/pki/revocation_source.py": "names in the same file",
    "v2g/pki/token_context.py": "names in the same room",
    "v2g/plc/driver.py": "records of the station's story",
    "v2g/sessions/session_log.py": "passes on",
    "v2g/sessions/supervisor.py": "EndReason, notices of the procedures and of the timing",
    "v2g/telemetry/logs.py": "passes on",
    "v2g/telemetry/structured.py": "of libraries, or PYISO15118 and LIBRARY",
    "v2g/control/server.py": "CALL, REFUSED and FAILED: below",
}
"""Where a code is not written down where it is told, and where it comes from. A file that is new here needs a look."""


@cache
def trees() -> dict[Path, ast.Module]:
    """Of the daemons."""
    found = [*(SRC / "pyiso15118" / "aio").rglob("*.py"), *(SRC / "v2g").rglob("*.py")]
    others = ("cli", "simulation", "replay", "thermal", "config", "hardware")
    return {path: ast.parse(path.read_text()) for path in found if path.relative_to(SRC).parts[1] not in others}


@cache
def constants() -> dict[str, dict[str, str]]:
    """Texts that modules name, by module and name."""
    found: dict[str, dict[str, str]] = {}
    for path, tree in trees().items():
        module = ".".join(path.relative_to(SRC).with_suffix("").parts)
        for node in tree.body:
            value = getattr(node, "value", None)
            if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(value, ast.Constant):
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    if isinstance(target, ast.Name) and isinstance(value.value, str):
                        found.setdefault(module, {})[target.id] = value.value
    return found


def names_in(path: Path, tree: ast.Module) -> dict[str, str]:
    """Texts by the names that a module knows them under."""
    module = ".".join(path.relative_to(SRC).with_suffix("").parts)
    found = dict(constants().get(module, {}))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for each in node.names:
                if (text := constants().get(node.module, {}).get(each.name)) is not None:
                    found[each.asname or each.name] = text
    return found


@cache
def told_codes() -> frozenset[tuple[str, str | None]]:
    """File and code of each call that writes a line; None where the code comes from elsewhere."""
    return frozenset(_told_codes())


def _told_codes() -> Iterator[tuple[str, str | None]]:
    for path, tree in trees().items():
        file, known = str(path.relative_to(SRC)), names_in(path, tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                codes = [code for place in _places(node, file) for code in _codes(place, known)]
                # What is called as our logs are; other callables may pass on anything.
                is_log = getattr(node.func, "attr", "") in ("info", "warning", "error")
                yield from ((file, code) for code in codes if code is not None or is_log)


def _places(node: ast.Call, file: str) -> list[ast.expr]:
    function = node.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if file.startswith("pyiso15118"):
        return [each.value for each in node.keywords if each.arg == "code" and not file.startswith("pyiso15118/slac")]
    if isinstance(function, ast.IfExp):
        return node.args[:1]
    if name == "event":
        return node.args[1:2]
    return node.args[:1] if name in WRITERS else []


def _codes(place: ast.expr, known: dict[str, str]) -> list[str | None]:
    if isinstance(place, ast.IfExp):
        return [*_codes(place.body, known), *_codes(place.orelse, known)]
    if isinstance(place, ast.Constant):
        return [place.value] if isinstance(place.value, str) else []
    if isinstance(place, ast.Name) and place.id in known:
        return [known[place.id]]
    return [None]


def is_code(text: str) -> bool:
    return CODE.fullmatch(text) is not None or SINGLE.fullmatch(text) is not None or text.startswith("0x")


def test_every_code_at_the_place_where_it_is_told_is_explained() -> None:
    told = {(file, code) for file, code in told_codes() if code is not None and is_code(code)}
    assert len(told) > 150
    assert {(file, code) for file, code in told if catalogue.find(code) is None} == set()


def test_codes_that_come_from_elsewhere_come_from_where_this_test_looks() -> None:
    assert {file for file, code in told_codes() if code is None} <= set(ELSEWHERE)


@pytest.mark.parametrize("room", ROOMS)
def test_every_name_of_a_codes_form_in_the_daemons_is_explained(room: str) -> None:
    found = set()
    for path, tree in trees().items():
        if path.relative_to(SRC).parts[:2] != ("v2g", room) or path.name.startswith("catalogue"):
            continue
        exported = {id(each) for node in tree.body if _is_all(node) for each in ast.walk(node)}
        docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        found |= {
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and CODE.fullmatch(node.value)
            and id(node) not in exported | docs
        }
    assert {code for code in found - NO_CODES if catalogue.find(code) is None} == set()


def _is_all(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and any(
        isinstance(each, ast.Name) and each.id == "__all__" for each in node.targets
    )


def test_every_code_by_which_something_is_refused_is_explained() -> None:
    """audit.log has them as error=."""
    found = {code.name for code in ErrorCode} - {"INTERNAL_ERROR", "REFUSED"}
    for path, tree in trees().items():
        if "orchestrator" not in path.parts:
            continue
        known = names_in(path, tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Refused":
                places = [*node.args[1:2], *(each.value for each in node.keywords if each.arg == "code")]
                found |= {code for place in places for code in _codes(place, known) if code is not None}
    assert {"UNKNOWN_EVSE", "POWER_FLOWS", "FORBIDDEN"} <= found
    assert {code for code in found if catalogue.find(code) is None} == set()


def test_every_end_of_a_session_is_explained() -> None:
    assert {reason.value for reason in EndReason if catalogue.find(reason.value) is None} == set()


def test_every_code_of_the_protocol_package_is_explained() -> None:
    found = {
        text
        for module, names in constants().items()
        if module.startswith("pyiso15118.aio")
        for name, text in names.items()
        if name.isupper()
    }
    found = {text for text in found if CODE.fullmatch(text)}
    assert {"SPOOFING_SUSPECTED", "PLC_NOT_MATCHED"} <= found
    assert {code for code in found if catalogue.find(code) is None} == set()


@pytest.mark.parametrize("code", ["ORDERS_RESTORED", "ORDERS_DROPPED", "SIGNALS_RESTORED", "CALL", "REFUSED", "FAILED"])
def test_codes_that_are_put_together_are_explained(code: str) -> None:
    assert catalogue.find(code) is not None


def test_every_block_of_the_guard_is_explained() -> None:
    blocks = {str(block.name) for block in Block} - {"NONE", "NEW_DISCHARGE"}
    assert {name for name in blocks if catalogue.find(name) is None} == set()
