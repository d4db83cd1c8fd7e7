"""What is fuzzed of the control plane: requests, and the check of the audit log."""

from __future__ import annotations

import json
from collections.abc import Callable

import msgspec

from fuzz.checks import Sampler, require
from v2g.control import messages, messages_lockout, messages_min_soc, messages_utility
from v2g.control.audit_words import compact
from v2g.control.rpc import MAX_LINE_BYTES, Request, RpcError, encode_error, encode_result, parse_request
from v2g.telemetry.audit_chain import BEGINNING, ChainKey, Head, Link, parse_line, sealed
from v2g.telemetry.audit_verify import MOST_FINDINGS, Verdict, Verifier
from v2g.telemetry.lines import text_line

PARAMS: tuple[type[messages.Params], ...] = (
    *(messages.DispatchParams, messages.CancelParams, messages.HelloParams, messages.GridAdjustParams),
    *(messages.RelayTestParams, messages.RegimeParams, messages_lockout.LockoutParams, messages_min_soc.MinSocParams),
    *(messages_utility.SignalParams, messages_utility.WithdrawParams),
)
KEY = ChainKey(bytes(range(32)))
MOST_AUDITED = 500
CALLS = 6


def check_request(sampler: Sampler, data: bytes) -> None:
    """A line to the control socket: refused in words, or a request that comes back the same."""
    line = data[:MAX_LINE_BYTES]
    if sampler.due():
        sampler.memory(lambda: parse_request(line), len(line), (RpcError,))
    try:
        request = parse_request(line)
    except RpcError as error:
        sampler.counts["refused"] += 1
        answer = encode_error(error)
        require(bool(error.message), "refused without a word")
    else:
        sampler.counts["accepted"] += 1
        check_params(request)
        answer = encode_result(request.id, {})
        again = {"jsonrpc": "2.0", "id": request.id, "method": request.method, "params": request.params}
        require(parse_request(msgspec.json.encode(again)) == request, f"{request} is another when sent again")
    require(answer.endswith(b"\n") and answer.count(b"\n") == 1, f"{answer!r} is not one line")
    json.loads(answer)


def check_params(request: Request) -> None:
    """Every method takes or refuses it, and its audit line is one line that fits into the chain."""
    for params in PARAMS:
        try:
            msgspec.convert(request.params, params)
        except msgspec.ValidationError as error:
            str(error).encode()
    words = compact(request.params, MOST_AUDITED)
    require(len(words) <= MOST_AUDITED + 1, f"{len(words)} characters are audited")
    line = text_line(0.0, "info", "CALL", "", {"method": request.method[:64], "params": words})
    written, link = sealed(line, BEGINNING, KEY)
    require(line.isprintable() and b"\n" not in written, f"{written!r} is not one line")
    found = parse_line(written)
    require(found is not None and Link(found.seq, found.value) == link, f"{written!r} is not read as written")


def request_seeds() -> list[bytes]:
    calls: list[tuple[str, dict[str, object]]] = [
        ("hello", {"client": "v2g-control", "protocol": 1}),
        ("status", {}),
        ("dispatch", {"mode": "discharge", "power_w": 1e4, "evse_id": "US*V2G*E1", "duration_s": 900, "at": "18:00"}),
        ("cancel", {"order_id": None}),
        ("grid.adjust", {"changes": {"profile": "g99", "trips.OV1.time_s": 5.0}, "confirm_unverified": True}),
        ("lockout.set", {"enabled": True, "note": "ä \u202e"}),
        ("min_soc.set", {"value": 30.0, "vehicle": "CN=X", "password": "x"}),
        ("utility.signal", {"kind": "cap", "value": 1e3, "duration_s": 60, "id": "n1"}),
    ]
    bodies = [{"jsonrpc": "2.0", "id": number, "method": name, "params": of} for number, (name, of) in enumerate(calls)]
    return [json.dumps(body).encode() for body in bodies] + [b"[]", b"{}", b"[" * 200, b'{"jsonrpc":"2.0","id":"x"}']


def log_lines(calls: int = CALLS) -> tuple[list[bytes], Head]:
    """A small log as the daemon writes it, and its head."""
    end = BEGINNING
    lines = []
    for number in range(calls + 2):
        if number in (0, 4):
            code = "CHAIN_CONTINUED" if number else "CHAIN_STARTED"
            chain = {"key": KEY.id, "previous_seq": end.seq, "previous_chain": end.value}
            text = text_line(number, "info", code, "", chain)
        else:
            text = text_line(number, "info", "CALL", "", {"user": "alice", "method": "dispatch"})
        line, end = sealed(text, end, KEY)
        lines.append(line)
    return lines, Head(seq=end.seq, chain=end.value, key=KEY.id, unix_s=0.0).sealed_with(KEY)


LINES, HEAD = log_lines()


def judged(data: bytes) -> Verdict:
    verifier = Verifier({KEY.id: KEY}, head=HEAD)
    verifier.begin("audit.log")
    *lines, left = data.split(b"\n")
    for number, line in enumerate(lines, 1):
        verifier.feed(number, line)
    if left:
        verifier.feed(len(lines) + 1, left, ended=False)
    return verifier.verdict()


def check_log(sampler: Sampler, data: bytes) -> None:
    """No other content than what was written is intact; but for half a line at the end, which is told."""
    if sampler.due():
        sampler.memory(lambda: judged(data), len(data) + 64 * MOST_FINDINGS, ())
    verdict = judged(data)
    sampler.counts["accepted" if verdict.intact else "refused"] += 1
    require(verdict.intact == (verdict.broken == 0), "intact, with findings")
    require(len(verdict.findings) == min(verdict.broken, MOST_FINDINGS), "findings are not counted")
    if verdict.intact:
        found = data.split(b"\n")
        require(found[: len(LINES)] == LINES, "a log that was changed is called intact")
        require(len(found) <= len(LINES) + 1, "a log that was added to is called intact")
        require(len(found) <= len(LINES) or not found[-1] or bool(verdict.remarks), "half a line is not told")


def log_seeds() -> list[bytes]:
    whole = b"\n".join(LINES) + b"\n"
    changed: list[Callable[[list[bytes]], list[bytes]]] = [
        lambda lines: lines[:-1],
        lambda lines: lines[1:],
        lambda lines: [*lines[:3], *lines[4:]],
        lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]],
        lambda lines: [*lines[:3], lines[2], *lines[3:]],
        lambda lines: [*lines[:3], b"text", *lines[3:]],
    ]
    return [whole, whole[:-1], whole + b"half", *(b"\n".join(each(LINES)) + b"\n" for each in changed)]
