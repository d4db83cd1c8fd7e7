"""Random messages are the bytes that EXIficient writes. PEER_PYTHON names a Python that has EcoG's wheel."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from pyiso15118 import exi
from pyiso15118.exi.schema import schemas, type_namespace
from pyiso15118.messages import Namespace
from pyiso15118.messages.jsonform import from_json, to_json
from support.ecog_json import without_what_the_wrapper_loses
from support.examples import examples

MESSAGES = [
    cls
    for namespace in (Namespace.APP_PROTOCOL, Namespace.COMMON_MESSAGES, Namespace.AC, Namespace.DC)
    for name, cls in schemas[namespace].elements.items()
    if name.endswith(("Req", "Res"))
]

PEER = """
import json, sys
from iso15118.shared.exificient_exi_codec import ExificientEXICodec
codec = ExificientEXICodec()
answers = []
for namespace, text in json.load(sys.stdin):
    try:
        answers.append(bytes(codec.encode(text, namespace)).hex())
    except Exception as error:
        answers.append("error: " + str(error)[:200])
json.dump(answers, sys.stdout)
sys.stdout.flush()
codec.gateway.shutdown()
"""


@pytest.mark.interop
def test_random_messages_are_the_bytes_that_exificient_writes(structs: Any) -> None:
    python = os.environ.get("PEER_PYTHON")
    if not python or not Path(python).exists():
        pytest.skip("PEER_PYTHON names no Python that has EcoG's iso15118 wheel (and Java)")
    drawn: list[tuple[str, str, str]] = []

    @seed(15118)
    @settings(
        max_examples=examples(1200),
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def draw(data: st.DataObject) -> None:
        cls = data.draw(st.sampled_from(MESSAGES))
        namespace = type_namespace[cls]
        body = to_json(data.draw(structs(cls, alphabet="abcXYZ019-_é€😀")))
        without_what_the_wrapper_loses(body)
        drawn.append((namespace, json.dumps(body), exi.encode(from_json(namespace, body)).hex()))

    draw()
    request = json.dumps([(namespace, text) for namespace, text, _ in drawn])
    done = subprocess.run([python, "-c", PEER], input=request, capture_output=True, text=True, check=True, timeout=300)
    for (_, text, ours), theirs in zip(drawn, json.loads(done.stdout), strict=True):
        assert ours == theirs, text
    assert {next(iter(json.loads(text))) for _, text, _ in drawn} == {cls.__name__ for cls in MESSAGES}
