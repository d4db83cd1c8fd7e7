"""What is fuzzed. To add a target, add a function that returns one and name it in ``TARGETS``."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import StringIO
from random import Random
from struct import unpack
from typing import Any

from fuzz import capture_target, control_targets, conversations, mesh_node_target, mesh_targets, seeds, slac_targets
from fuzz.checks import Sampler, check_exi, require, root_of
from fuzz.content import change
from fuzz.settings import setting_of
from pyiso15118 import exi, sdp
from pyiso15118.__main__ import COMMANDS, convert, decode_line, encode_line
from pyiso15118.errors import RemoteProtocolError
from pyiso15118.exi.codec import fragment_grammar
from pyiso15118.messages import Namespace
from pyiso15118.messages.jsonform import from_json, to_json
from pyiso15118.v2gtp import HEADER_BYTES, Frame, FrameReader, encode_frame, payload_type_of

NAMESPACES = [
    *(Namespace.COMMON_MESSAGES, Namespace.DC, Namespace.AC, Namespace.APP_PROTOCOL, Namespace.XMLDSIG),
    *(Namespace.COMMON_TYPES, Namespace.WPT, Namespace.ACDP, Namespace.AC_DER_IEC, Namespace.AC_DER_SAE),
]
MESSAGES = [name for name in NAMESPACES if name not in (Namespace.XMLDSIG, Namespace.COMMON_TYPES)]
MACHINE_BYTES = 16_384
"""Bytes that the messages and events of a whole session count for in the bound on memory."""
BOUNDS = (1, 64, 4096, 65536)
_chance = Random(20)
SETTINGS = [
    bytes((_chance.randrange(256), number % 8 + 8 * _chance.randrange(32), _chance.randrange(256)))
    for number in range(60)
]
"""Of the conversations from which fuzzing starts: a mixture in which each request occurs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """``check`` raises for an input that breaks a property. The first ``prefix`` bytes of an input are no part of what
    is mutated by its ``form``: ``bytes``, ``bits`` or ``json``. ``rewrite`` gives an input with other content."""

    check: Callable[[bytes], None]
    seeds: Iterable[bytes]
    form: str
    prefix: int = 0
    max_bytes: int = 4096
    rewrite: Callable[[Random, bytes], bytes | None] = lambda rng, data: None


def document(namespace: Namespace) -> Callable[[Sampler], Target]:
    """The decoder of a namespace's documents."""

    def target(sampler: Sampler) -> Target:
        return Target(
            check=lambda data: check_exi(sampler, namespace, data),
            seeds=seeds.messages(namespace),
            form="bits",
            prefix=1,
            max_bytes=8192,
            rewrite=lambda rng, data: rewritten(rng, namespace, data),
        )

    return target


def fragment(sampler: Sampler) -> Target:
    """The decoders of fragments; the first byte says of which namespace."""

    def check(data: bytes) -> None:
        if data:
            check_exi(sampler, NAMESPACES[data[0] % len(NAMESPACES)], data[1:], fragment=True)

    samples = [
        bytes([number]) + data
        for number, namespace in enumerate(NAMESPACES)
        for data in seeds.messages(namespace, fragment=True)
    ]

    def rewrite(rng: Random, data: bytes) -> bytes | None:
        changed = rewritten(rng, NAMESPACES[data[0] % len(NAMESPACES)], data[1:], fragment=True) if data else None
        return None if changed is None else data[:1] + changed

    return Target(check=check, seeds=samples, form="bits", prefix=2, max_bytes=8192, rewrite=rewrite)


def rewritten(rng: Random, namespace: Namespace, data: bytes, *, fragment: bool = False) -> bytes | None:
    """The message in ``data`` with other content; None where there is none or the other content is not permitted."""
    try:
        message = exi.decode_fragment(namespace, data) if fragment else exi.decode(namespace, data)
        for _ in range(rng.choice((1, 1, 2, 5))):
            message = change(rng, message)
        if fragment:
            return exi.encode_fragment(message, namespace, root_of(namespace, data, fragment))
        return exi.encode(message, namespace)
    except exi.ExiError:
        return None


def frames(sampler: Sampler) -> Target:
    """The reader of V2GTP streams. The first byte picks its bound, the next four how the stream is cut."""

    def check(data: bytes) -> None:
        if len(data) < 5:
            return
        bound, pieces, stream = BOUNDS[data[0] % len(BOUNDS)], data[1:5], data[5:]
        if sampler.due():
            sampler.memory(lambda: read_frames(stream, pieces, bound), len(stream), ())
        found = read_frames(stream, pieces, bound)
        require(found == read_frames(stream, b"\0", bound), "frames depend on how the stream is cut")
        require(found == expected_frames(stream, bound), "frames differ from those the stream holds")
        sampler.counts["refused" if found[1] else "accepted"] += 1

    samples = [
        bytes((number % 256, 1, 7, 8, 250)) + b"".join(encode_frame(0x8001 + number % 5, body) for body in bodies)
        for number, bodies in enumerate([(b"",), (b"a",), (b"", b"bc", b"\x01\xfe"), (bytes(64),), (bytes(65), b"x")])
    ]
    samples += [
        b"\x03\x09\x08\x01\x40" + encode_frame(payload_type_of(namespace), message)
        for namespace in MESSAGES
        for message in seeds.messages(namespace)[:20]
    ]
    return Target(check=check, seeds=samples, form="bytes", prefix=5)


def read_frames(stream: bytes, pieces: bytes, bound: int) -> tuple[list[Frame], bool, int]:
    """The frames read from a stream fed in pieces (0: all at once), whether it was refused, and what is left unread."""
    reader = FrameReader(bound)
    found: list[Frame] = []
    start = number = 0
    while start < len(stream) or not stream:
        size = pieces[number % len(pieces)] or len(stream)
        piece = stream[start : start + size]
        start, number = start + size, number + 1
        try:
            reader.feed(piece)
            whole = reader.whole_frames(3)
            before = len(found)
            found.extend(reader)
        except RemoteProtocolError:
            return found, True, 0
        require(whole == min(3, len(found) - before), f"{whole} whole frames announced")
        require(reader.buffered_bytes < HEADER_BYTES + bound, f"{reader.buffered_bytes} bytes kept")
        if not stream:
            break
    return found, False, reader.buffered_bytes


def expected_frames(stream: bytes, bound: int) -> tuple[list[Frame], bool, int]:
    """What :func:`read_frames` must give, read from the stream as a whole."""
    found: list[Frame] = []
    while len(stream) >= HEADER_BYTES:
        start, payload_type, length = unpack(">HHI", stream[:HEADER_BYTES])
        if start != 0x01FE or length > bound:
            return found, True, 0
        if len(stream) < HEADER_BYTES + length:
            break
        found.append(Frame(payload_type, stream[HEADER_BYTES : HEADER_BYTES + length]))
        stream = stream[HEADER_BYTES + length :]
    return found, False, len(stream)


def sdp_datagrams(decode: Callable[[bytes], sdp.SdpRequest | sdp.SdpResponse]) -> Callable[[Sampler], Target]:
    """A decoder of discovery datagrams: there is one way only to write each."""

    def target(sampler: Sampler) -> Target:
        def check(data: bytes) -> None:
            if sampler.due():
                sampler.memory(lambda: decode(data), len(data), (RemoteProtocolError,))
            try:
                message = decode(data)
            except RemoteProtocolError:
                sampler.counts["refused"] += 1
                return
            sampler.counts["accepted"] += 1
            require(sdp.encode(message) == data, f"{message} is not what was sent")

        host = ipaddress.IPv6Address("fe80::1")
        samples = [
            sdp.encode(message)
            for security in sdp.Security
            for message in (
                sdp.SdpRequest(security=security),
                sdp.SdpResponse(host=host, port=61851, security=security),
            )
        ]
        return Target(check=check, seeds=samples, form="bytes", max_bytes=128)

    return target


def json_form(sampler: Sampler) -> Target:
    """Messages from JSON. The first byte says of which namespace, and whether as a fragment."""

    def check(data: bytes) -> None:
        if not data:
            return
        as_fragment, number = divmod(data[0] % (2 * len(NAMESPACES)), len(NAMESPACES))
        namespace = NAMESPACES[number]
        try:
            tree = json.loads(data[1:])
        except (ValueError, RecursionError):
            return
        if sampler.due():
            sampler.memory(lambda: from_json(namespace, tree, fragment=bool(as_fragment)), len(data), (exi.ExiError,))
        try:
            message = from_json(namespace, tree, fragment=bool(as_fragment))
            (name,) = tree
            encoded = exi.encode_fragment(message, namespace, name) if as_fragment else exi.encode(message, namespace)
        except exi.ExiError as error:
            require(error.bit is None, f"refused at bit {error.bit}, where no bits are")
            sampler.counts["refused"] += 1
            return
        sampler.counts["accepted"] += 1
        again = exi.decode_fragment(namespace, encoded) if as_fragment else exi.decode(namespace, encoded)
        require(again == message, f"{message} encodes to {encoded.hex()}, which is {again}")
        if not as_fragment:
            written = json.loads(json.dumps(to_json(again)))
            require(from_json(namespace, written) == message, f"{written} is no JSON form of {message}")

    samples = [
        bytes([number]) + json.dumps(tree).encode()
        for number, namespace in enumerate(NAMESPACES)
        for tree in seeds.json_objects(namespace)
    ]
    for namespace in NAMESPACES:
        fragment_grammar(namespace)  # made once and kept; no memory of the first input that asks for it
    return Target(check=check, seeds=samples, form="json", prefix=1)


def lines(sampler: Sampler) -> Target:
    """Lines given to ``python -m pyiso15118``; the first byte picks the command."""

    def check(data: bytes) -> None:
        if not data:
            return
        name = ("decode", "encode")[data[0] % 2]
        given = data[1:].splitlines(keepends=True)
        if sampler.due():
            sampler.memory(lambda: convert(COMMANDS[name], given, StringIO()), len(data), ())
        output = StringIO()
        code = convert(COMMANDS[name], given, output)
        answers = [json.loads(line) for line in output.getvalue().splitlines()]
        require(len(answers) == sum(bool(line.strip()) for line in given), "not one answer to each line")
        require(code == any("error" in answer for answer in answers), f"exit code {code} of {answers}")
        for request, answer in zip(filter(bytes.strip, given), answers, strict=True):
            sampler.counts["refused" if "error" in answer else "accepted"] += 1
            if "error" not in answer and not json.loads(request).get("fragment"):
                check_line(answer)

    samples = []
    for namespace in (*MESSAGES, Namespace.XMLDSIG):
        named = {"payload_type": payload_type_of(namespace)} if namespace in MESSAGES else {"namespace": namespace}
        for data in seeds.messages(namespace)[:60]:
            request = {"namespace": namespace, "hex": data.hex(), "fragment": False}
            samples.append(b"\0" + json.dumps(request).encode())
            body = to_json(exi.decode(namespace, data))
            samples.append(b"\1" + json.dumps({**named, "json": body}).encode())
        for data in seeds.messages(namespace, fragment=True)[:20]:
            request = {"namespace": namespace, "hex": data.hex(), "fragment": True}
            samples.append(b"\0" + json.dumps(request).encode())
    return Target(check=check, seeds=samples, form="json", prefix=1)


def capture(sampler: Sampler) -> Target:
    """Files given to ``python -m pyiso15118 decode``."""
    return Target(
        check=lambda data: capture_target.check(sampler, data),
        seeds=capture_target.seeds(),
        form="bytes",
        prefix=capture_target.PIECES,
        max_bytes=capture_target.MAX_BYTES,
    )


def charger(sampler: Sampler) -> Target:
    """Bytes to a charger anywhere in a session of any kind."""
    prefix = conversations.HEARING_BYTES

    def check(data: bytes) -> None:
        if len(data) < prefix:
            return
        conversations.count(sampler, conversations.charger_hears(data))
        if sampler.due():
            sampler.memory(lambda: conversations.charger_hears(data), MACHINE_BYTES + len(data), ())

    def rewrite(rng: Random, data: bytes) -> bytes | None:
        if len(data) <= HEADER_BYTES + prefix:
            return None
        return data[:prefix] + conversations.other_content(data[prefix:], rng)

    samples = []
    for nth, chosen in enumerate(SETTINGS):
        frames, _ = conversations.known_frames(setting_of(chosen))
        # Each place of a session comes up in every fourth of them, or there were thousands.
        places = range(nth % 4, len(frames), 4)
        samples += [chosen + bytes((place, 0)) + frames[place] for place in places]
        samples += [chosen + bytes((place, 9)) + b"".join(frames[place : place + 3]) for place in places[::2]]
        beside = conversations.side_frames(frames)
        samples += [chosen + bytes((place, 0)) + frame for frame in beside for place in places[-2:]]
    return Target(check=check, seeds=samples, form="bits", prefix=prefix, max_bytes=8192, rewrite=rewrite)


def conversation(sampler: Sampler) -> Target:
    """What a meddler does to the frames between a vehicle and a charger, four bytes for each frame."""

    def check(data: bytes) -> None:
        conversations.count(sampler, conversations.converse(data))
        if sampler.due():
            sampler.memory(lambda: conversations.converse(data), MACHINE_BYTES, ())

    samples = [b"", *SETTINGS]
    for kind in range(2, 10):
        for place in range(0, 60, 2):
            chosen = SETTINGS[(7 * kind + place // 2) % len(SETTINGS)]
            samples.append(chosen + bytes(4 * place) + bytes((kind, (11 * place + kind) % 256, 1, place)))
    return Target(check=check, seeds=samples, form="bytes", max_bytes=600)


def control_request(sampler: Sampler) -> Target:
    """Lines to the control socket."""
    check = control_targets.check_request
    return Target(check=lambda data: check(sampler, data), seeds=control_targets.request_seeds(), form="bytes")


def audit_log(sampler: Sampler) -> Target:
    """The audit log in the hands of somebody without its key."""
    check = control_targets.check_log
    return Target(check=lambda data: check(sampler, data), seeds=control_targets.log_seeds(), form="bytes")


def slac(name: str) -> Callable[[Sampler], Target]:
    """Frames of SLAC, or a conversation of its machines."""
    check, samples, most = slac_targets.CHECKS[name]

    def target(sampler: Sampler) -> Target:
        return Target(check=lambda data: check(sampler, data), seeds=samples(), form="bytes", max_bytes=most)

    return target


def mesh_envelope(sampler: Sampler) -> Target:
    """What comes from a mesh's wire, and what a member signs."""
    check = mesh_targets.check_envelope
    return Target(
        check=lambda data: check(sampler, data),
        seeds=mesh_targets.envelope_seeds(),
        form="bits",
        prefix=1,
        rewrite=mesh_targets.rewrite,
    )


def mesh_node(sampler: Sampler) -> Target:
    """What members of a mesh say to a node."""
    check = mesh_node_target.check_node
    return Target(
        check=lambda data: check(sampler, data),
        seeds=mesh_node_target.node_seeds(),
        form="bits",
        max_bytes=8192,
        rewrite=mesh_node_target.rewrite,
    )


def check_line(answer: dict[str, Any]) -> None:
    """What a command answered about a document is what both commands answer when given it."""
    encoded = encode_line({"namespace": answer["namespace"], "json": answer["json"]})
    again = decode_line({"namespace": answer["namespace"], "hex": encoded["hex"]})
    require(json.dumps(encoded) == json.dumps(again), f"encode answers {encoded}, decode {again}")
    require(json.dumps(again["json"]) == json.dumps(answer["json"]), f"{answer} became {again}")


DOCUMENTS = {
    "exi-app-protocol": Namespace.APP_PROTOCOL,
    "exi-common-messages": Namespace.COMMON_MESSAGES,
    "exi-ac": Namespace.AC,
    "exi-dc": Namespace.DC,
    "exi-wpt": Namespace.WPT,
    "exi-acdp": Namespace.ACDP,
    "exi-ac-der-iec": Namespace.AC_DER_IEC,
    "exi-ac-der-sae": Namespace.AC_DER_SAE,
    "exi-xmldsig": Namespace.XMLDSIG,
}
"""Targets that run the code of one namespace and of those it imports."""
USUAL = (Namespace.APP_PROTOCOL, Namespace.COMMON_MESSAGES, Namespace.AC, Namespace.DC)
TARGETS: dict[str, Callable[[Sampler], Target]] = {
    "frames": frames,
    "sdp-request": sdp_datagrams(sdp.decode_request),
    "sdp-response": sdp_datagrams(sdp.decode_response),
    **{name: document(namespace) for name, namespace in DOCUMENTS.items()},
    "exi-fragments": fragment,
    "json-form": json_form,
    "lines": lines,
    "capture": capture,
    "charger": charger,
    "conversation": conversation,
    "control-request": control_request,
    "audit-log": audit_log,
    **{name: slac(name) for name in slac_targets.CHECKS},
    "mesh-envelope": mesh_envelope,
    "mesh-node": mesh_node,
}


def watched(name: str) -> tuple[Namespace, ...]:
    """Whose generated code is instrumented for a target. All of it takes half a minute, so only one target has it."""
    if name in DOCUMENTS:
        return (DOCUMENTS[name],)
    if name in ("charger", "conversation"):
        return (*USUAL, Namespace.AC_DER_IEC, Namespace.AC_DER_SAE)
    return tuple(Namespace) if name == "exi-fragments" else USUAL
