from __future__ import annotations

import json
import struct
from pathlib import Path

from click.testing import CliRunner

from support.captures import Conversation, pcap, pcapng
from support.secured_capture import Secured
from v2g.cli.tool import cli

SETUP = bytes.fromhex("01fe800200000010") + bytes.fromhex("808c040000000000000000000201ad00")


def test_messages_are_printed_as_text_and_as_json(tmp_path: Path) -> None:
    conversation = Conversation()
    conversation.send(SETUP)
    file = tmp_path / "some.pcap"
    file.write_bytes(pcap(conversation.packets, 101))
    text = CliRunner().invoke(cli, ["trace", "--decode", str(file)])
    assert text.exit_code == 0
    assert text.output.startswith("2026-01-02T03:04:05.252000Z [fe80::a:1]:49200 -> [fe80::1]:61341 SessionSetupReq {")
    record = json.loads(CliRunner().invoke(cli, ["trace", "--decode", str(file), "--json"]).output)
    assert record["json"]["SessionSetupReq"]["EVCCID"] == "Z"
    assert (record["from"], record["to"]) == ("[fe80::a:1]:49200", "[fe80::1]:61341")


def test_a_time_that_no_calendar_has_is_told_in_seconds(tmp_path: Path) -> None:
    conversation = Conversation()
    conversation.send(SETUP)
    file = tmp_path / "far.pcapng"
    file.write_bytes(pcapng(conversation.packets, 101, options=struct.pack("<HHq", 14, 8, 1 << 60)))
    done = CliRunner().invoke(cli, ["trace", "--decode", str(file)])
    assert (done.exit_code, " s [fe80::a:1]" in done.output) == (0, True)


def test_a_capture_with_nothing_but_tls_says_what_would_open_it(tmp_path: Path) -> None:
    file = tmp_path / "closed.pcapng"
    file.write_bytes(Secured().talk(4).capture)
    done = CliRunner().invoke(cli, ["trace", "--decode", str(file)])
    assert done.exit_code == 1
    assert "has no V2GTP messages; in TLS from [fe80::a:1]:49200 to [fe80::1]:61341: no secrets" in done.output
