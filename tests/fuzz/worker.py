"""One run of libFuzzer, in a process of its own, since libFuzzer ends the process it runs in. ``fuzz.py`` starts it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from types import CodeType
from typing import Any

import atheris

sys.path[0] = str(Path(__file__).resolve().parents[1])

with atheris.instrument_imports(include=["pyiso15118", "v2g.control", "v2g.mesh", "v2g.telemetry"]):
    from fuzz import mutators, seeds, targets
    from fuzz.checks import Sampler
    from pyiso15118.exi import compiler, schema

TELL_EVERY = 100
"""Inputs between two notes of what was seen: libFuzzer ends the process without a word to Python."""
WITHOUT_MESSAGES = (
    *("frames", "sdp-request", "sdp-response", "control-request", "audit-log"),
    *("mesh-envelope", "mesh-node"),
)
"""Targets that run no generated code; making it ready takes longer than a short run of them."""
MARK = "__ATHERIS_INSTRUMENTED__"


def instrument_generated_code(namespaces: Iterable[str]) -> None:
    """Generated functions are compiled, not imported: instrument them as they are, all of them before the first input.

    Without this libFuzzer sees nothing of the codec but its outside. The code of other namespaces is made ready as it
    is, so that no input pays for it.
    """

    def compile_instrumented(source: str, filename: str, mode: str) -> CodeType:
        code: CodeType = atheris.patch_code(compile(source, filename, mode), trace_dataflow=True)
        return code

    vars(compiler)["compile"] = compile_instrumented
    closure = {found.namespace: found for name in namespaces for found in schema.find(name).closure}
    compile_all(closure.values())
    functions = [
        function
        for name, function in vars(compiler)["_globals"].items()
        if callable(function) and getattr(getattr(function, "__code__", None), "co_filename", "").startswith("<exi ")
    ]
    blind = [function.__name__ for function in functions if MARK not in function.__code__.co_consts]
    if blind or not functions:
        sys.exit(f"generated functions without instrumentation: {blind or 'all'}")
    del vars(compiler)["compile"]
    compile_all(schema.find(name) for name in schema.known_namespaces())
    print(f"INSTRUMENTED {len(functions)} generated functions", file=sys.stderr)


def compile_all(schemas: Iterable[schema.Schema]) -> None:
    """Generate what is not generated yet of all types of these schemas, both ways."""
    kinds = [cls for found in schemas for cls in found.types if cls not in schema.abstract_types]
    for function_of in (compiler.encoder_of, compiler.decoder_of):
        done: set[Any] = set()
        for cls in kinds:
            compiler.compile_with_parts(cls, function_of, done)


def mutate(data: bytes, max_size: int) -> bytes:
    """LibFuzzer's own mutation. Looked up on each call: it comes to be when fuzzing starts."""
    changed: bytes = atheris.Mutate(data, max_size)
    return changed


def main() -> None:
    """``worker.py TARGET PERIOD SEEDS [libFuzzer's arguments]``; a PERIOD of 1 looks at every input closely."""
    name, period, directory, *options = sys.argv[1:]
    if name not in WITHOUT_MESSAGES:
        instrument_generated_code(targets.watched(name))
    sampler = Sampler(int(period))
    target = targets.TARGETS[name](sampler)
    for number, data in enumerate(target.seeds):
        (Path(directory) / f"{number:05}").write_bytes(data)

    def check(data: bytes) -> None:
        target.check(data)
        sampler.done += 1
        if sampler.done % TELL_EVERY == 0:
            (Path(directory).parent / "seen.json").write_text(json.dumps(sampler.figures()))

    custom: dict[str, Any] = {}
    if target.form == "bits":
        custom["custom_mutator"] = mutators.bitwise(mutate, target.prefix, target.rewrite)
    elif target.form == "json":
        words = seeds.words()
        custom["custom_mutator"] = mutators.json_tree(mutate, target.prefix, words)
        dictionary = Path(directory).parent / "dictionary"
        dictionary.write_text("".join(f'"{word}"\n' for word in words if word.isascii() and '"' not in word))
        options.append(f"-dict={dictionary}")
    replaying = any(Path(option).is_file() for option in options if not option.startswith("-"))
    arguments = [sys.argv[0], f"-max_len={target.max_bytes}", *options, *([] if replaying else [directory])]
    atheris.Setup(arguments, check, **custom)
    atheris.Fuzz()


main()
