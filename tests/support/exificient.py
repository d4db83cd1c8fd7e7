"""EXIficient with the grammars of any XSD: messages as XML text, and the bytes it writes for them.

The JSON wrapper that comes with it knows no message of WPT, ACDP or the DER amendment; EXIficient itself reads a schema
and takes XML. PEER_PYTHON names a Python that has EcoG's wheel, whose jar holds both EXIficient and Xerces.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
from collections.abc import Iterable
from enum import Enum
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import pytest

from pyiso15118.exi.declarations import Binary, Struct
from pyiso15118.exi.grammar import Datatype, Field, fields_of
from pyiso15118.exi.schema import element_namespace, type_namespace
from pyiso15118.messages import Namespace

PEER = """
import json, sys
from iso15118.shared.exificient_exi_codec import ExificientEXICodec
jvm = ExificientEXICodec().gateway.jvm
job = json.load(sys.stdin)
exi = jvm.com.siemens.ct.exi
factory = exi.core.helpers.DefaultEXIFactory.newInstance()
factory.setGrammars(exi.grammars.GrammarFactory.newInstance().createGrammars(job["schema"]))
factory.setFidelityOptions(exi.core.FidelityOptions.createDefault())
factory.setValuePartitionCapacity(0)
factory.setFragment(job["fragment"])
parsers = jvm.javax.xml.parsers.SAXParserFactory.newInstance()
parsers.setNamespaceAware(True)
answers = []
for text in job["texts"]:
    try:
        stream = jvm.java.io.ByteArrayOutputStream()
        result = exi.main.api.sax.EXIResult(factory)
        result.setOutputStream(stream)
        reader = parsers.newSAXParser().getXMLReader()
        reader.setContentHandler(result.getHandler())
        reader.parse(jvm.org.xml.sax.InputSource(jvm.java.io.StringReader(text)))
        answers.append(bytes(stream.toByteArray()).hex())
    except Exception as error:
        answers.append("error: " + str(error)[:400])
json.dump(answers, sys.stdout)
sys.stdout.flush()
"""


def peer_python() -> str:
    """The interpreter that has EcoG's wheel; the test is skipped where there is none."""
    python = os.environ.get("PEER_PYTHON")
    if not python or not Path(python).exists():
        pytest.skip("PEER_PYTHON names no Python that has EcoG's iso15118 wheel (and Java)")
    return python


def copy_schemas(python: str, folder: Path) -> None:
    """Put the wheel's XSDs of ISO 15118-20 side by side into ``folder``, where they find each other."""
    command = [python, "-c", "import iso15118.shared as shared; print(shared.__path__[0])"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    schemas = Path(done.stdout.strip()) / "schemas"
    for path in (*schemas.glob("*.xsd"), *(schemas / "iso15118_20").glob("*.xsd")):
        # The schema of signatures names a DTD that is on the network, and declares nothing by it that counts.
        (folder / path.name).write_text(re.sub(r"<!DOCTYPE.*?\]>", "", path.read_text(), count=1, flags=re.DOTALL))


def encoded(python: str, schema: Path, texts: Iterable[str], *, fragment: bool = False) -> list[str]:
    """The bytes of each XML text in hexadecimal, by the grammars of an XSD file; ``error: …`` where it refuses one."""
    job = json.dumps({"schema": str(schema), "texts": list(texts), "fragment": fragment})
    done = subprocess.run([python, "-c", PEER], input=job, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    answers: list[str] = json.loads(done.stdout)
    return answers


def to_xml(message: Struct, name: str | None = None) -> str:
    """A message as an XML document; ``name`` where the class alone does not say the element's."""
    prefixes = {namespace.value: f"n{number}" for number, namespace in enumerate(Namespace)}
    declared = " ".join(f"xmlns:{prefix}={quoteattr(namespace)}" for namespace, prefix in prefixes.items())
    root = name or type(message).__name__
    tag = f"{prefixes[element_namespace(type(message))]}:{root}"
    attributes, content = _parts(message, prefixes)
    return f"<{tag} {declared}{attributes}>{content}</{tag}>"


def _parts(message: Struct, prefixes: dict[str, str]) -> tuple[str, str]:
    attributes, content = "", ""
    for field in fields_of(type(message)):
        value = getattr(message, field.name)
        if value is None:
            continue
        if field.role == "attribute":
            # The signature schema alone leaves its attributes without a namespace.
            prefix = "" if field.namespace == Namespace.XMLDSIG else f"{prefixes[field.namespace]}:"
            attributes += f" {prefix}{field.name}={quoteattr(_text(field.datatypes[0], value))}"
        elif field.role == "content":
            content += escape(_text(field.datatypes[0], value))
        else:
            content += "".join(_element(field, item, prefixes) for item in (value if field.repeated else [value]))
    return attributes, content


def _element(field: Field, value: Any, prefixes: dict[str, str]) -> str:
    if not isinstance(value, Struct):
        tag = f"{prefixes[field.namespace]}:{field.name}"
        return f"<{tag}>{escape(_text(field.datatypes[0], value))}</{tag}>"
    if len(field.datatypes) > 1:
        cls = type(value)
        tag = f"{prefixes[type_namespace[cls]]}:{cls.__name__}"
    else:
        (terminal,) = field.terminals
        tag = f"{prefixes[terminal.namespace]}:{terminal.name}"
    attributes, content = _parts(value, prefixes)
    return f"<{tag}{attributes}>{content}</{tag}>"


def _text(datatype: Datatype, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, bytes):
        hexadecimal = isinstance(datatype, Binary) and datatype.hexadecimal
        return value.hex().upper() if hexadecimal else base64.b64encode(value).decode()
    return str(value)
