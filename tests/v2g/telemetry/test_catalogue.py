from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from v2g.telemetry import catalogue

SRC = Path(__file__).resolve().parents[3] / "src/v2g"
CODE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")
NO_CODES = {"OPENBLAS_NUM_THREADS", "LATCH_FILE"}
"""Names of environment variables and the like; LATCH_FILE is an element and is looked for as such."""
PAYLOADS = {
    *("DISPATCH_SETPOINT", "EXPORT_CAPACITY_LIMIT", "IMPORT_CAPACITY_LIMIT", "PROGRAM_NAME", "VEN_NAME"),
    *("REPORT_PAYLOAD_DESCRIPTOR", "VEN_VEN_REQUEST"),
}
"""Words of OpenADR, and no codes of ours."""
ANSWERS = {"BAD_SIGNAL", "NOT_YOURS", "UNKNOWN_SIGNAL"}
"""Of the control socket: they come with their remedy, and not in a log."""
WRITERS = {"info", "warning", "error", "event"}


def codes_of(path: Path) -> set[str]:
    """Every constant that is written as a code: by its form, and whatever stands in a code's place."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE.fullmatch(node.value):
            found.add(node.value)
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            places = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
            if name in WRITERS | {"QualityEvent", "Watch"}:
                places += node.args[:2]
            for place in places:
                if isinstance(place, ast.Constant) and str(place.value).isupper() and str(place.value).isascii():
                    found.add(str(place.value))
    return found - NO_CODES


MODULES = sorted([*(SRC / "guard").glob("*.py"), *(SRC / "grid").glob("*.py")])


@pytest.mark.parametrize("path", MODULES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_code_that_the_guard_writes_is_explained(path: Path) -> None:
    assert {code for code in codes_of(path) if catalogue.find(code) is None} == set()


def test_the_search_for_codes_finds_some() -> None:
    found = set().union(*map(codes_of, MODULES))
    assert {"THD_HIGH", "HARMONIC_BACK", "PQ_SUMMARY", "RAPID_VOLTAGE_CHANGE", "DEVICE_LOST", "WAVEFORM_STALE"} <= found


@pytest.mark.parametrize(
    "code",
    [
        *("FREQUENCY_WARNING", "FREQUENCY_BACK", "VOLTAGE_WARNING", "VOLTAGE_BACK", "TRIP", "TRIP_RESET"),
        *("TRIP_RESET_REFUSED", "TRIP_LATCHED", "ENTER_SERVICE", "PHASE_JUMP", "PHASE_MISMATCH", "RIDE_THROUGH", "LOM"),
        *("WAVEFORM_STALE", "WAVEFORM_BACK", "BREAKER_FAILED_TO_OPEN", "BREAKER_OPENED", "GUARD_STALLED"),
        *("CURRENTS_DEAD", "REVERSE_FLOW_DENIED", "NO_PERMIT", "RELAY_OPEN", "RELAY_FAILED", "LATCH_FILE"),
        *("OV1", "OV2", "UV1", "UV2", "OF1", "OF2", "UF1", "UF2", "50", "51", "50 feeder", "51 transformer"),
        *("THD_HIGH", "TRD_HIGH", "FLICKER_HIGH", "UNBALANCE_HIGH", "DC_INJECTION", "PQ_SUMMARY", "Phase Mismatch"),
    ],
)
def test_what_people_look_up_is_there(code: str) -> None:
    assert catalogue.find(code) is not None


def test_every_block_of_discharge_is_explained() -> None:
    from v2g.grid.protection import Block

    for block in Block:
        if block not in (Block.NONE, Block.NEW_DISCHARGE):
            assert catalogue.find(str(block.name)) is not None


def test_every_shortfall_of_an_order_is_explained() -> None:
    codes = codes_of(SRC / "dispatch/codes.py") | {"LIMITED", "CONTRADICTION"}
    assert {"MIN_SOC", "FORWARD_FLOW_DENIED"} <= codes
    assert {code for code in codes if catalogue.find(code) is None} == set()


@pytest.mark.parametrize("folder", ["dispatch", "planning", "utility"])
def test_every_code_of_dispatch_and_of_the_utility_is_explained(folder: str) -> None:
    found = set().union(*map(codes_of, (SRC / folder).glob("*.py"))) - PAYLOADS
    assert {code for code in found if catalogue.find(code) is None} == set()


@pytest.mark.parametrize(
    "module",
    ["orchestrator/utility_api", "orchestrator/surroundings", "orchestrator/plan_runner", "sessions/scheduling"],
)
def test_every_code_of_plans_schedules_and_signals_is_explained(module: str) -> None:
    logged = codes_of(SRC / f"{module}.py") - ANSWERS
    assert {code for code in logged if catalogue.find(code) is None} == set()


@pytest.mark.parametrize(
    ("module", "codes"),
    [
        ("mesh/watch", {"MESH_LINK", "MESH_MEMBER", "MESH_ISLAND", "MESH_DROP", "MESH_CLOCK", "MESH_CAP"}),
        ("mesh/runner", {"MESH_START", "MESH_DOWN", "MESH_GATEWAY"}),
        ("orchestrator/mesh_link", {"MESH_DOWN"}),
        ("orchestrator/heartbeat", {"HEARTBEAT_LED"}),
    ],
)
def test_every_code_of_the_mesh_and_its_light_is_explained(module: str, codes: set[str]) -> None:
    logged = codes_of(SRC / f"{module}.py") - {"NO_MESH", "UNKNOWN_MEMBER", "UNKNOWN_GROUP", "NOT_A_HEAD", "NO_CAP"}
    assert codes <= logged
    assert {code for code in logged if catalogue.find(code) is None} == set()


def test_each_code_and_each_other_word_is_there_once_and_entries_are_whole() -> None:
    words = [word.lower() for entry in catalogue.ENTRIES for word in (entry.code, *entry.also)]
    assert len(words) == len(set(words))
    for entry in catalogue.ENTRIES:
        assert all(text.strip().endswith((".", "ELEMENT")) for text in (entry.meaning, entry.daemon, entry.remedy)), (
            entry.code
        )


def test_the_frequency_warning_says_why_it_never_trips() -> None:
    entry = catalogue.find("frequency_warning")
    assert entry is not None
    for word in ("never trips", "58.8 to 61.2 Hz", "57.0 to 61.8 Hz for 299 s", "enter"):
        assert word in entry.daemon


def test_close_words_are_suggested() -> None:
    assert catalogue.suggestions("PHASE_MISSMATCH")[0] == "PHASE_MISMATCH"
    assert "THD_HIGH" in catalogue.suggestions("thd")
    assert catalogue.suggestions("qqqqqq") == ()


def test_every_code_of_the_audit_log_itself_is_explained() -> None:
    found = codes_of(SRC / "orchestrator/audit_trail.py") | codes_of(SRC / "telemetry/audit_chain.py")
    logged = found - {"NO_CHAIN", "TOO_SLOW", "NOT_CHECKED", "BUSY"}
    assert {"AUDIT_BROKEN", "CHAIN_RESUMED", "CONFIG_FILE", "START", "STOP"} <= logged
    assert {code for code in logged if catalogue.find(code) is None} == set()


@pytest.mark.parametrize("name", ["revocation_source", "clock_sync", "staple"])
def test_every_code_of_revocation_and_time_is_explained(name: str) -> None:
    found = codes_of(SRC / f"pki/{name}.py")
    assert len(found) >= 2
    assert {code for code in found if catalogue.find(code) is None} == set()
