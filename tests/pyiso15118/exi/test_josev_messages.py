"""EcoG's codec interface for messages of any kind: as the codec itself, and as EcoG's own codec where that has JSON."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyiso15118 import exi
from pyiso15118.exi.schema import find, known_namespaces, type_namespace
from pyiso15118.josev import Codec
from pyiso15118.messages import Namespace
from pyiso15118.messages.jsonform import to_json
from support.ecog_json import without_what_the_wrapper_loses
from support.examples import examples
from support.exificient import peer_python
from support.own_path import python_path
from support.random_messages import drawn_of

WITH_JSON_OF_THEIRS = (Namespace.APP_PROTOCOL, Namespace.COMMON_MESSAGES, Namespace.AC, Namespace.DC)

PEER = """
import json, logging, sys
from iso15118.shared.exi_codec import EXI
from iso15118.shared.exificient_exi_codec import ExificientEXICodec
from iso15118.shared.settings import load_shared_settings
from pyiso15118.josev import Codec

logging.disable()
load_shared_settings()
theirs, ours = ExificientEXICodec(), Codec()

def parsed(codec, data, namespace):
    EXI().set_exi_codec(codec)
    try:
        message = EXI().from_exi(data, namespace)
        return [type(message).__name__, repr(message), EXI().to_exi(message, namespace).hex()]
    except Exception as error:
        return ["refused", type(error).__name__]

answers = []
for namespace, text in json.load(sys.stdin):
    data = theirs.encode(text, namespace)
    answers.append({
        "message": next(iter(json.loads(text))),
        "encoded": [data.hex(), ours.encode(text, namespace).hex()],
        "decoded": [json.loads(codec.decode(data, namespace)) for codec in (theirs, ours)],
        "parsed": [parsed(codec, data, namespace) for codec in (theirs, ours)],
    })
json.dump(answers, sys.stdout)
sys.stdout.flush()
theirs.gateway.shutdown()
"""


NAMES = """
import json, logging, sys
from iso15118.shared.exi_codec import EXI
from iso15118.shared.exceptions import V2GMessageValidationError
from iso15118.shared.settings import load_shared_settings
from pyiso15118.josev import Codec

logging.disable()
load_shared_settings()
answers = []
for namespace, text in json.load(sys.stdin):
    data, answer = Codec().encode(text, namespace), []
    for codec in (Codec(), Codec(model_names=True)):
        EXI().set_exi_codec(codec)
        try:
            answer.append(EXI().to_exi(EXI().from_exi(data, namespace), namespace) == data)
        except V2GMessageValidationError:
            answer.append("refused")
    answers.append(answer)
json.dump(answers, sys.stdout)
"""

ONE = {"Exponent": 0, "Value": 1}
LOOP_RESPONSE = {
    "DC_ChargeLoopRes": {
        "Header": {"SessionID": "0102030405060708", "TimeStamp": 5},
        "ResponseCode": "OK",
        "MeterInfo": {"MeterID": "m", "ChargedEnergyReadingWh": 1, "BPT_DischargedEnergyReadingWh": 7},
        "EVSEPresentCurrent": ONE,
        "EVSEPresentVoltage": ONE,
        "EVSEPowerLimitAchieved": False,
        "EVSECurrentLimitAchieved": False,
        "EVSEVoltageLimitAchieved": False,
        "Scheduled_DC_CLResControlMode": {},
    }
}
SETUP_RESPONSE = {
    "AuthorizationSetupRes": {
        "Header": {"SessionID": "0102030405060708", "TimeStamp": 5},
        "ResponseCode": "OK",
        "AuthorizationServices": ["PnC"],
        "CertificateInstallationService": False,
        "PnC_ASResAuthorizationMode": {
            "GenChallenge": "AAAAAAAAAAAAAAAAAAAAAA==",
            "SupportedProviders": {"ProviderID": ["one", "two"]},
        },
    }
}


def messages(*namespaces: str) -> list[type[Any]]:
    return [
        cls
        for namespace in namespaces
        for name, cls in find(namespace).elements.items()
        if name.endswith(("Req", "Res")) and type_namespace[cls] == namespace
    ]


@settings(max_examples=examples(400), deadline=None)
@given(data=st.data())
def test_messages_of_every_schema_go_through_as_json(structs: Any, data: st.DataObject) -> None:
    cls = data.draw(st.sampled_from(messages(*known_namespaces())))
    namespace, message = type_namespace[cls], data.draw(structs(cls))
    body = json.loads(json.dumps(to_json(message)))
    encoded = exi.encode(message)

    text = Codec().decode(encoded, namespace)

    assert Codec().encode(json.dumps(body), namespace) == encoded
    assert Codec().encode(text, namespace) == encoded
    # What signatures have in lists only here: see tests/pyiso15118/test_josev.py.
    if '"Signature"' not in text:
        assert json.loads(text) == body


def drawn_messages(number: int) -> list[tuple[str, str]]:
    """Of each message that their codec has JSON for."""
    drawn: list[tuple[str, str]] = []
    for cls in messages(*WITH_JSON_OF_THEIRS):
        for message in drawn_of(cls, number):
            body = to_json(message)
            without_what_the_wrapper_loses(body)
            drawn.append((type_namespace[cls], json.dumps(body)))
    return drawn


def recorded_messages(folder: Path) -> list[tuple[str, str]]:
    rows = [
        json.loads(line)
        for name in ("vectors", "vectors_synth")
        for line in (folder / "iso15118" / f"{name}.jsonl").read_text().splitlines()
    ]
    return [(row["namespace"], json.dumps(row["decoded"])) for row in rows if not row.get("fragment")][::9]


def answered(program: str, work: list[tuple[str, str]], folder: Path) -> Any:
    """What the program says of the work in a Python with EcoG's stack, our package and msgspec."""
    done = subprocess.run(
        [peer_python(), "-c", program],
        input=json.dumps(work),
        env=os.environ | {"PYTHONPATH": python_path(folder / "ours")},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.mark.interop
def test_ecogs_classes_take_what_they_name_otherwise_than_the_schema_only_by_their_names(tmp_path: Path) -> None:
    work = [
        (Namespace.DC.value, json.dumps(LOOP_RESPONSE)),
        (Namespace.COMMON_MESSAGES.value, json.dumps(SETUP_RESPONSE)),
    ]

    assert answered(NAMES, work, tmp_path) == [["refused", True], ["refused", True]]


@pytest.mark.interop
def test_ecogs_stack_sees_no_difference_between_its_codec_and_ours(shared_data: Path, tmp_path: Path) -> None:
    work = drawn_messages(4) + recorded_messages(shared_data)
    answers = answered(PEER, work, tmp_path)
    assert len(answers) == len(work) > 250
    for answer in answers:
        for what in ("encoded", "decoded", "parsed"):
            theirs, ours = answer[what]
            assert ours == theirs, (answer["message"], what)
    taken = [answer["parsed"][0][0] for answer in answers if answer["parsed"][0][0] != "refused"]
    assert len(taken) > 40
    assert {answer["message"] for answer in answers} == {cls.__name__ for cls in messages(*WITH_JSON_OF_THEIRS)}
