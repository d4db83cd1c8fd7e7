"""What is declared of each message set, what EXIficient says of it, and what its messages cost.

    python tests/bench/bench_message_sets.py     PEER_PYTHON=…/venv/bin/python adds the comparison with EXIficient

Writes ``report_message_sets.md`` beside this file. EXIficient makes its grammars from an XSD: the wheel's own, and for
the sets of Amendment 1, which the wheel does not have, ISO's as it is written from our declarations (same hash).
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.bench_codec import messages as dc_loop
from fuzz.seeds import example
from pyiso15118 import exi
from pyiso15118.exi.declarations import Struct
from pyiso15118.exi.grammar import fields_of
from pyiso15118.exi.schema import abstract_types, find, is_announced, is_element
from pyiso15118.exi.source import is_enum
from pyiso15118.messages import Namespace, common_types
from support import iso_layout_iec, iso_layout_sae
from support.exificient import copy_schemas, encoded, to_xml
from support.random_messages import drawn, messages_of

REPORT = Path(__file__).with_name("report_message_sets.md")
EACH = {Namespace.COMMON_MESSAGES: 25, Namespace.AC: 50, Namespace.DC: 50, Namespace.WPT: 100, Namespace.ACDP: 100}
"""Random messages of each kind; of the sets of Amendment 1, with few kinds and many modes, more."""
EACH_OF_DER = 250
SERIES = 20
ROUNDS = 100
FILES = {
    Namespace.COMMON_MESSAGES: "V2G_CI_CommonMessages.xsd",
    Namespace.AC: "V2G_CI_AC.xsd",
    Namespace.DC: "V2G_CI_DC.xsd",
    Namespace.WPT: "V2G_CI_WPT.xsd",
    Namespace.ACDP: "V2G_CI_ACDP.xsd",
}
WRITTEN = {Namespace.AC_DER_IEC: iso_layout_iec.text, Namespace.AC_DER_SAE: iso_layout_sae.text}
SETS = (*FILES, *WRITTEN)
LOOPS = {
    Namespace.AC: "AC_ChargeLoop",
    Namespace.DC: "DC_ChargeLoop",
    Namespace.WPT: "WPT_ChargeLoop",
    Namespace.ACDP: "ACDP_SystemStatus",
    Namespace.AC_DER_IEC: "AC_ChargeLoop",
    Namespace.AC_DER_SAE: "AC_ChargeLoop",
}
"""The pair of each set that a session repeats."""
HEADER = common_types.MessageHeaderType(SessionID=bytes(range(8)), TimeStamp=1_700_000_000_000_000)
PREPARE = """
import sys, time
import pyiso15118.messages
from pyiso15118 import exi
from pyiso15118.exi.schema import find
start = time.process_time()
find(sys.argv[1])
imported = time.process_time()
exi.prepare(sys.argv[1])
print(1000 * (imported - start), 1000 * (time.process_time() - imported))
"""


def table(headings: list[str], rows: list[list[str]]) -> list[str]:
    lines = [headings, ["---"] * len(headings), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines] + [""]


def declared(namespace: Namespace) -> list[str]:
    types = find(namespace).types
    fields = [field for cls in types for field in fields_of(cls)]
    enumerations = {datatype for field in fields for datatype in field.datatypes if is_enum(datatype)}
    package = ".".join(types[0].__module__.split(".")[:3])
    own = re.compile(rf"{re.escape(package)}(\..*)?")
    elements = {cls for cls in types if is_element(cls)}
    numbers = (
        len(messages_of(namespace)),
        len(elements - set(messages_of(namespace))),
        len([cls for cls in types if cls not in elements]),
        sum(len(fields_of(cls)) for cls in types),
        len({each for each in enumerations if own.fullmatch(each.__module__)}),
        len([cls for cls in types if cls in abstract_types]),
    )
    return [namespace.name, *map(str, numbers), "when asked for" if is_announced(namespace) else "at once"]


def compared(python: str, namespace: Namespace, folder: Path) -> list[str]:
    """How many random messages EXIficient writes as we do, and what it does with the others."""
    file = FILES.get(namespace, f"{namespace.name}.xsd")
    if namespace in WRITTEN:
        (folder / file).write_text(WRITTEN[namespace]())
    found = drawn(namespace, EACH.get(namespace, EACH_OF_DER))
    answers = encoded(python, folder / file, map(to_xml, found))
    equal = sum(exi.encode(message).hex() == theirs for message, theirs in zip(found, answers, strict=True))
    refused = sum(theirs.startswith("error") for theirs in answers)
    source = "ISO's, as our declarations give it" if namespace in WRITTEN else f"the wheel's {file}"
    return [namespace.name, source, *map(str, (len(found), equal, len(found) - equal - refused, refused))]


def full(cls: type[Struct]) -> Struct:
    """A message with all that is optional but a signature, by the richest control mode there is."""
    message = example(cls, full=True)
    changes: dict[str, object] = {"Header": HEADER} if hasattr(message, "Header") else {}
    for field in fields_of(cls):
        for prefix in ("BPT_Dynamic_", "DER_Dynamic_"):
            for datatype in field.datatypes:
                if len(field.datatypes) > 1 and datatype.__name__.startswith(prefix):
                    changes[field.name] = example(datatype, full=True)
    return msgspec.structs.replace(message, **changes)


def best_us(actions: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Microseconds of each action's quickest series; the actions take turns, so that all see the machine alike."""
    times: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(SERIES):
        for name, action in actions.items():
            start = time.perf_counter()
            for _ in range(ROUNDS):
                action()
            times[name].append((time.perf_counter() - start) / ROUNDS)
    return {name: min(series) * 1e6 for name, series in times.items()}


def both_ways(namespace: Namespace, found: list[Struct]) -> tuple[Callable[[], None], int]:
    """What encodes and decodes these messages once, and how many bytes they are."""
    pairs = [(message, exi.encode(message)) for message in found]
    for message, data in pairs:
        assert exi.decode(namespace, data) == message, message

    def action() -> None:
        for message, data in pairs:
            exi.encode(message)
            exi.decode(namespace, data)

    return action, sum(len(data) for _, data in pairs)


def timed() -> list[list[str]]:
    actions: dict[str, Callable[[], object]] = {}
    sizes: dict[str, int] = {}
    base = "DC_BPT dynamic, as in report_codec.md"
    actions[base], sizes[base] = both_ways(Namespace.DC, list(dc_loop().values()))
    for namespace in SETS:
        kinds = {cls.__name__: cls for cls in messages_of(namespace)}
        if namespace in LOOPS:
            pair = [full(kinds[LOOPS[namespace] + suffix]) for suffix in ("Req", "Res")]
            name = f"{namespace.name}: {LOOPS[namespace]}, all fields"
            actions[name], sizes[name] = both_ways(namespace, pair)
        name = f"{namespace.name}: each of {len(kinds)} messages once, all fields"
        actions[name], sizes[name] = both_ways(namespace, [full(cls) for cls in kinds.values()])
    times = best_us(actions)
    return [
        [name, str(sizes[name]), f"{us:.0f}", f"{us / times[base]:.1f}", f"{us / sizes[name]:.2f}"]
        for name, us in times.items()
    ]


def prepared(namespace: Namespace) -> list[str]:
    command = [sys.executable, "-c", PREPARE, namespace]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() for _ in range(3)]
    return [namespace.name, *(f"{min(float(run[at]) for run in runs):.0f}" for at in (0, 1))]


def main() -> None:
    lines = [
        "# Message sets",
        "",
        f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores. Made by "
        "`tests/bench/bench_message_sets.py`.",
        "",
        "## What is declared",
        "",
        *table(
            [
                *("namespace", "messages", "other elements", "other types", "fields, inherited ones too"),
                *("enumerations", "abstract", "imported"),
            ],
            [declared(namespace) for namespace in SETS],
        ),
        "`tests/pyiso15118/messages/test_declarations_against_xsd.py` compares these declarations one by one with the "
        "XSDs of the wheel",
        "`iso15118==0.31.2`. Those of Amendment 1 (`AC_DER_…`) give ISO's files to the last byte "
        "(`test_der_iec_schema.py`, `test_der_sae_schema.py`).",
        "",
        "## Random messages beside EXIficient",
        "",
    ]
    python = os.environ.get("PEER_PYTHON")
    if python:
        with tempfile.TemporaryDirectory() as temporary:
            copy_schemas(python, Path(temporary))
            rows = [compared(python, namespace, Path(temporary)) for namespace in SETS]
        headings = ["namespace", "its schema", "messages", "same bytes", "other bytes", "refused by it"]
        lines += table(headings, rows)
    else:
        lines += ["Not run: PEER_PYTHON names no Python with EcoG's wheel.", ""]
    lines += [
        "As XML, since its JSON wrapper knows no message of WPT, ACDP and Amendment 1 (and of the others loses Ids and",
        "KeyInfo). Signatures with all they may hold are among them. Strings have no control characters and no blanks,",
        "which XML does not carry unchanged; lists that may hold more than ten have at most three items here. Not",
        "compared: text and elements of undeclared types in signatures, which we refuse. Bytes that we write and",
        "libcbv2g 03350be0 (EVerest) does not, by the record of WWCP_ISO15118: the root codes of `ACDP_ConnectRes` and",
        "`ACDP_DisconnectReq` are swapped there, and of four WPT messages the end code differs",
        "(`tests/pyiso15118/messages/test_wpt_acdp_vectors.py`).",
        "",
        "## Time",
        "",
        f"Encoding and decoding, quickest of {SERIES} series of {ROUNDS}, all in one run, taking turns. *All fields*: "
        "whatever is optional",
        "is there, but no signature.",
        "",
        *table(["messages", "bytes", "us", "ratio to the first", "us a byte"], timed()),
        "## Before the first message",
        "",
        "Processor time in a process of its own, the least of three; what is imported *when asked for* costs nothing",
        "before. Code of a message is generated with it, or all by `exi.prepare`.",
        "",
        *table(["namespace", "import, ms", "generate all, ms"], [prepared(n) for n in SETS if is_announced(n)]),
    ]
    REPORT.write_text("\n".join(lines).rstrip() + "\n")
    print(REPORT.read_text())


if __name__ == "__main__":
    main()
