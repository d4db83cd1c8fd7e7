from __future__ import annotations

import json
import subprocess
import sys
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import pytest

from pyiso15118 import exi
from pyiso15118.__main__ import COMMANDS, convert, main
from pyiso15118.messages import Namespace, xmldsig

NAMESPACE = "urn:iso:std:iso:15118:-20:CommonMessages"
REQUEST = {"SessionSetupReq": {"Header": {"SessionID": "0000000000000000", "TimeStamp": 0}, "EVCCID": "Z"}}
HEX = "808c040000000000000000000201ad00"


def run(command: str, *requests: Any) -> tuple[int, list[dict[str, Any]]]:
    lines = b"\n".join(item if isinstance(item, bytes) else json.dumps(item).encode() for item in requests)
    output = StringIO()
    code = convert(COMMANDS[command], BytesIO(lines), output)
    return code, [json.loads(line) for line in output.getvalue().splitlines()]


def test_decode_takes_a_namespace_or_a_payload_type() -> None:
    answer = {"namespace": NAMESPACE, "message": "SessionSetupReq", "json": REQUEST, "hex": HEX}
    code, answers = run(
        "decode",
        {"namespace": NAMESPACE, "hex": HEX},
        {"payload_type": "0x8002", "hex": HEX.upper()},
        {"payload_type": 0x8002, "hex": HEX},
    )
    assert (code, answers) == (0, [answer] * 3)


def test_encode_answers_the_same() -> None:
    code, answers = run("encode", {"namespace": NAMESPACE, "json": REQUEST}, {"payload_type": 32770, "json": REQUEST})
    assert (code, answers) == (
        0,
        [{"namespace": NAMESPACE, "message": "SessionSetupReq", "json": REQUEST, "hex": HEX}] * 2,
    )


def test_a_document_is_of_the_namespace_asked_for_also_where_its_root_is_imported() -> None:
    request = {"namespace": NAMESPACE, "json": {"KeyName": {"value": "k"}}}
    code, (encoded,) = run("encode", request)
    assert (code, encoded["json"]) == (0, request["json"])
    assert run("decode", {"namespace": NAMESPACE, "hex": encoded["hex"]}) == (0, [encoded])
    assert exi.encode(xmldsig.KeyName(value="k")) == exi.encode(xmldsig.KeyName(value="k"), Namespace.XMLDSIG)
    with pytest.raises(exi.ExiError, match="AppProtocol has no global element KeyName"):
        exi.encode(xmldsig.KeyName(value="k"), Namespace.APP_PROTOCOL)


def test_a_fragment_goes_both_ways() -> None:
    request = {"namespace": NAMESPACE, "hex": "8040015a590c401f631a", "fragment": True}
    code, (decoded,) = run("decode", request)
    assert (code, decoded["message"]) == (0, "OEMProvisioningCertificateChain")
    code, (encoded,) = run("encode", {"namespace": NAMESPACE, "json": decoded["json"], "fragment": True})
    assert (code, encoded) == (0, decoded)


def test_payload_type_of_ac_selects_its_messages(shared_data: Path) -> None:
    source = shared_data / "iso15118" / "captures" / "ISO-20_BPT_AC_DS5366_Josev.jsonl"
    rows = [row for row in map(json.loads, source.read_text().splitlines()) if row["payload_type"] == "0x8003"]
    code, answers = run("decode", *({"payload_type": "0x8003", "hex": row["hex"]} for row in rows))
    assert (code, len(answers)) == (0, 24)
    assert {answer["namespace"] for answer in answers} == {"urn:iso:std:iso:15118:-20:AC"}
    assert [answer["json"] for answer in answers] == [row["decoded"] for row in rows]
    code, encoded = run("encode", *({"payload_type": 0x8003, "json": row["decoded"]} for row in rows))
    assert (code, encoded) == (0, answers)


@pytest.mark.parametrize(
    ("command", "line", "reason"),
    [
        ("decode", b"{", "no JSON"),
        ("decode", b"\xff", "no JSON"),
        ("decode", b"[" * 100_000, "no JSON"),
        ("decode", b"[]", "no JSON object"),
        ("decode", {"hex": HEX}, 'needs "namespace"'),
        ("decode", {"payload_type": "SAP", "hex": HEX}, 'needs "namespace"'),
        ("decode", {"payload_type": 0x8099, "hex": HEX}, "0x8099 is bound to no known schema"),
        ("decode", {"namespace": "urn:nobody", "hex": HEX}, "'urn:nobody'"),
        ("decode", {"namespace": NAMESPACE}, 'needs "hex"'),
        ("decode", {"namespace": NAMESPACE, "hex": "8"}, "hexadecimal"),
        ("decode", {"namespace": NAMESPACE, "hex": HEX[:-2]}, "SessionSetupReq/EVCCID at bit 120: the input ends"),
        ("decode", {"namespace": NAMESPACE, "hex": HEX, "fragment": 1}, "true or false"),
        ("encode", {"namespace": NAMESPACE}, 'needs "json"'),
        ("encode", {"namespace": NAMESPACE, "json": []}, "one key"),
        ("encode", {"namespace": NAMESPACE, "json": {"SessionSetupReq": {}}}, "SessionSetupReq/Header: is required"),
    ],
)
def test_a_bad_line_is_answered_on_its_line_and_the_others_are_served(command: str, line: Any, reason: str) -> None:
    good = {"namespace": NAMESPACE, "hex": HEX, "json": REQUEST}
    code, (first, bad, last) = run(command, good, line, b"", good)
    assert code == 1
    assert list(bad) == ["error"]
    assert reason in bad["error"]
    assert first == last
    assert first["hex"] == HEX


def test_wrong_usage_is_told_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["transcode"], ["decode", "file"]):
        assert main(arguments) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("usage: python -m pyiso15118")
    assert main(["--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: python -m pyiso15118")


def test_the_module_runs_as_a_program(shared_data: Path) -> None:
    source = shared_data / "iso15118" / "captures" / "ISO-20_TLS13_DC_DS5366_Josev.jsonl"
    rows = [json.loads(line) for line in source.read_text().splitlines()]
    wanted = [row for row in rows if row["payload_type"] in ("0x8001", "0x8002", "0x8004")]
    assert len(wanted) == 112
    command = [sys.executable, "-m", "pyiso15118", "decode"]
    text = "\n".join(json.dumps(row) for row in rows)
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=60)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1, "the two rows of SDP are no EXI"
    assert [answer["json"] for answer in answers if "json" in answer] == [row["decoded"] for row in wanted]
    assert sum("error" in answer for answer in answers) == 2
