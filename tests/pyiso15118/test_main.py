from __future__ import annotations

import json
import re
import struct
import subprocess
import sys
from io import BytesIO, StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pyiso15118 import exi
from pyiso15118.__main__ import COMMANDS, convert, main
from pyiso15118.messages import Namespace, xmldsig
from pyiso15118.v2gtp import encode_frame
from support.captures import Conversation, pcap, pcapng

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
    ("payload_type", "namespace", "message", "data"),
    [
        ("0x8006", "urn:iso:std:iso:15118:-20:WPT", "WPT_PairingRes", "8090040000000000000000080e2cfaa0620003"),
        ("0x8005", "urn:iso:std:iso:15118:-20:ACDP", "ACDP_ConnectReq", "8000040000000000000000080e2cfaa06220"),
        ("0x8103", "urn:iso:std:iso:15118:-20:ACDP", "ACDP_SystemStatusReq", "8010040000000000000000080e2cfaa06220c0"),
    ],
)
def test_payload_types_of_rare_message_sets_select_theirs(
    payload_type: str, namespace: str, message: str, data: str
) -> None:
    code, (decoded,) = run("decode", {"payload_type": payload_type, "hex": data})
    assert (code, decoded["namespace"], decoded["message"]) == (0, namespace, message)
    assert run("encode", {"payload_type": payload_type, "json": decoded["json"]}) == (0, [decoded])


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
    for arguments in (
        [],
        ["transcode"],
        ["encode", "file"],
        ["decode", "one", "two"],
        ["decode", "--keylog", "log"],
        ["decode", "--verbose"],
    ):
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


# ---- captures --------------------------------------------------------------------------------------------------------


def messages(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_capture_is_decoded_a_line_for_each_message(shared_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    captures = shared_data / "iso15118" / "captures"
    for name in ("ISO-20_BPT_AC_DS5366_Josev", "ISO-20_TLS13_DC_DS5366_Josev"):
        rows = [json.loads(line) for line in (captures / f"{name}.jsonl").read_text().splitlines()]
        assert main(["decode", str(captures / f"{name}.pcapng")]) == 0
        found = messages(capsys.readouterr().out)
        assert [(each["payload_type"], each["hex"]) for each in found] == [
            (row["payload_type"], row["hex"]) for row in rows
        ]
        assert [each["json"] for each in found[2:]] == [row["decoded"] for row in rows[2:]]
        assert [each["message"] for each in found] == [row["message"] for row in rows]
        assert [each.get("namespace") for each in found] == [row.get("namespace") for row in rows]
        assert {each["secured"] for each in found[2:]} == {"TLS" in name}


def test_a_capture_from_standard_input_and_what_cannot_be_decoded(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    conversation = Conversation()
    conversation.send(encode_frame(0x8002, bytes.fromhex(HEX)) + encode_frame(0x8002, b"\x80\x80"))
    conversation.send(encode_frame(0x80FF, b"\x80") + b"nonsense", from_server=True)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=BytesIO(pcap(conversation.packets, 101))))
    assert main(["decode", "-"]) == 1
    good, cut, unknown, no_frame = messages(capsys.readouterr().out)
    assert list(good) == [
        *("time", "source", "destination", "secured", "payload_type", "namespace", "message", "json", "hex")
    ]
    assert good["time"] == "2026-01-02T03:04:05.252000Z"
    assert (good["source"], good["destination"]) == ("[fe80::a:1]:49200", "[fe80::1]:61341")
    assert (good["json"], good["hex"], good["secured"]) == (REQUEST, HEX, False)
    assert "input ends" in cut["error"]
    assert cut["hex"] == "8080"
    assert "0x80ff is of no schema" in unknown["error"]
    assert "not a V2GTP stream" in no_frame["error"]


def test_tls_is_named_where_no_secret_opens_it_and_read_where_a_key_log_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], shared_data: Path
) -> None:
    whole = (shared_data / "iso15118" / "captures" / "ISO-20_TLS13_DC_DS5366_Josev.pcapng").read_bytes()
    lines = re.findall(rb"(?:CLIENT|SERVER)_TRAFFIC_SECRET_0 [0-9a-f]{64} [0-9a-f]{96}", whole)
    silent, key_log = tmp_path / "silent.pcapng", tmp_path / "keys.log"
    silent.write_bytes(re.sub(rb"(CLIENT|SERVER)_TRAFFIC_SECRET_0", rb"\1_TRAFFIC_SECRET_X", whole))
    key_log.write_bytes(b"\n".join(lines))
    assert main(["decode", str(silent)]) == 0
    *discovery, closed = messages(capsys.readouterr().out)
    assert [each["message"] for each in discovery] == ["SDPRequest", "SDPResponse"]
    assert list(closed) == ["time", "source", "destination", "tls", "records", "unread"]
    assert (closed["tls"], closed["records"] > 112) == ("1.3", True)
    assert main(["decode", "--keylog", str(key_log), str(silent)]) == 0
    assert len(messages(capsys.readouterr().out)) == 114


def test_what_is_wrong_with_a_file_is_told_on_standard_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capture, text = tmp_path / "a.pcap", tmp_path / "text"
    conversation = Conversation()
    conversation.send(encode_frame(0x8002, bytes.fromhex(HEX)))
    capture.write_bytes(pcap(conversation.packets, 101)[:-1])
    text.write_text("no capture")
    empty = tmp_path / "empty.pcap"
    empty.write_bytes(pcap([], 101))
    for arguments, reason in (
        ([str(tmp_path / "none")], "none cannot be read: No such file or directory"),
        ([str(tmp_path)], "cannot be read: Is a directory"),
        ([str(text)], "text: this is no capture"),
        ([str(capture)], "a.pcap: the capture is cut off at byte"),
        ([str(empty)], "empty.pcap has no V2GTP message that could be read"),
        (["--keylog", str(tmp_path / "none"), str(empty)], "none cannot be read"),
        (["--keylog", str(text), str(empty)], "text has no lines CLIENT_TRAFFIC_SECRET_0"),
    ):
        assert main(["decode", *arguments]) == 1
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("pyiso15118: ")
        assert reason in captured.err


def test_a_time_that_no_calendar_has_is_told_in_seconds(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    conversation = Conversation()
    conversation.send(encode_frame(0x8002, bytes.fromhex(HEX)))
    capture = tmp_path / "far.pcapng"
    capture.write_bytes(pcapng(conversation.packets, 101, options=struct.pack("<HHq", 14, 8, 1 << 60)))
    assert main(["decode", str(capture)]) == 0
    (message,) = messages(capsys.readouterr().out)
    assert message["time"].endswith(" s")
