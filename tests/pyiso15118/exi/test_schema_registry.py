"""Namespaces that few speak are there when asked for, and cost nothing before."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pyiso15118 import exi
from pyiso15118.exi import schema
from pyiso15118.messages import Namespace
from pyiso15118.messages.jsonform import from_json

_LOOK = """
import sys
import pyiso15118.aio, pyiso15118.messages.jsonform, pyiso15118.v2gtp
from pyiso15118 import exi
from pyiso15118.exi import schema

def imported():
    return sorted(name for name in announced.values() if name in sys.modules)

announced = schema._announced
assert imported() == [], imported()
assert len(announced) == 4
for namespace, module in announced.items():
    try:
        exi.decode(namespace, b"\\x80")
    except exi.ExiError:
        pass
    assert module in sys.modules
"""


def test_nothing_of_a_rare_message_set_is_imported_before_its_first_message() -> None:
    subprocess.run([sys.executable, "-c", _LOOK], check=True, timeout=60)


def test_every_namespace_is_known_and_found() -> None:
    assert set(schema.known_namespaces()) == {namespace.value for namespace in Namespace}
    for namespace in Namespace:
        assert schema.find(namespace).namespace == namespace
        assert schema.is_announced(namespace) == (
            namespace in (Namespace.WPT, Namespace.ACDP, Namespace.AC_DER_IEC, Namespace.AC_DER_SAE)
        )


def test_an_announced_module_is_imported_once_by_the_first_that_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "announced_messages.py").write_text(
        "from pyiso15118.exi.declarations import Struct, boolean\n"
        "from pyiso15118.exi.schema import register\n"
        "class PingReq(Struct):\n"
        "    Loud: boolean\n"
        "register('urn:test:ping', vars())\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(schema, "_announced", dict(schema._announced))
    monkeypatch.setattr(schema, "schemas", dict(schema.schemas))
    schema.register_later("urn:test:ping", "announced_messages")
    assert "announced_messages" not in sys.modules
    try:
        message = from_json("urn:test:ping", {"PingReq": {"Loud": True}})
        assert exi.decode("urn:test:ping", exi.encode(message)) == message
        assert schema.find("urn:test:ping") is schema.find("urn:test:ping")
    finally:
        sys.modules.pop("announced_messages", None)


def test_an_unknown_namespace_is_refused_with_the_names_of_the_known_ones() -> None:
    with pytest.raises(exi.ExiError, match=r"'urn:nobody' \(known: .*-20:WPT"):
        exi.decode("urn:nobody", b"\x80")
