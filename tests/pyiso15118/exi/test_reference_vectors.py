"""Every reference message decodes to the given JSON and encodes to the given bytes."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyiso15118 import exi
from pyiso15118.exi import codec
from pyiso15118.exi.declarations import Struct
from pyiso15118.messages import Namespace
from pyiso15118.messages.jsonform import from_json, to_json

PAYLOADS = {
    "0x8001": Namespace.APP_PROTOCOL,
    "0x8002": Namespace.COMMON_MESSAGES,
    "0x8003": Namespace.AC,
    "0x8004": Namespace.DC,
}
SDP_PAYLOADS = {"0x9000", "0x9001"}

# The wrapper that encoded these fragments leaves a Reference's Id out and knows no algorithm but the SHA-256 ones, so
# that `decoded`, which is its input, says what `hex` does not hold.
WRAPPER_LOSES_ID_OR_ALGORITHM = {
    "frag/SignedInfo/sha256/ref1/idTrue",
    "frag/SignedInfo/sha256/ref2/idTrue",
    "frag/SignedInfo/sha512/ref1/idFalse",
    "frag/SignedInfo/sha512/ref2/idFalse",
    "frag/SignedInfo/sha512/ref2/idTrue",
}


def rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open() as lines:
        for line in lines:
            yield json.loads(line)


def namespace_of(row: dict[str, Any]) -> str:
    return str(row.get("namespace") or PAYLOADS[row["payload_type"]])


def decode(row: dict[str, Any], data: bytes) -> Struct:
    if row.get("fragment"):
        return exi.decode_fragment(namespace_of(row), data)
    return exi.decode(namespace_of(row), data)


def encode(row: dict[str, Any], message: Struct) -> bytes:
    if row.get("fragment"):
        return exi.encode_fragment(message, namespace_of(row))
    return exi.encode(message)


def as_json(message: Struct) -> Any:
    return json.loads(json.dumps(to_json(message)))


def as_the_wrapper_encoded_it(decoded: dict[str, Any]) -> dict[str, Any]:
    expected = copy.deepcopy(decoded)
    for method in [expected["SignedInfo"]["SignatureMethod"]] + [
        reference["DigestMethod"] for reference in expected["SignedInfo"]["Reference"]
    ]:
        method["Algorithm"] = method["Algorithm"].replace("sha512", "sha256")
    for reference in expected["SignedInfo"]["Reference"]:
        reference.pop("Id", None)
    return expected


@pytest.mark.parametrize(
    ("file", "expected_count", "of_ac"),
    [("vectors.jsonl", 494, 61), ("vectors_synth.jsonl", 539, 41), ("vectors_boundary.jsonl", 36, 0)],
)
def test_vectors_decode_to_their_json_and_encode_to_their_bytes(
    shared_data: Path, file: str, expected_count: int, of_ac: int
) -> None:
    count: Counter[str] = Counter()
    for row in rows(shared_data / "iso15118" / file):
        name, data, expected = row["name"], bytes.fromhex(row["hex"]), row["decoded"]
        if name in WRAPPER_LOSES_ID_OR_ALGORITHM:
            count["excepted"] += 1
            expected = as_the_wrapper_encoded_it(expected)
            assert expected != row["decoded"], name
        message = decode(row, data)
        assert as_json(message) == expected, name
        assert encode(row, message) == data, name
        parsed = from_json(namespace_of(row), expected, fragment=bool(row.get("fragment")))
        assert parsed == message, name
        assert encode(row, parsed) == data, name
        count["checked"] += 1
        count["of AC"] += namespace_of(row) == Namespace.AC
    assert (count["checked"], count["of AC"]) == (expected_count, of_ac)
    assert count["excepted"] == (len(WRAPPER_LOSES_ID_OR_ALGORITHM) if file == "vectors.jsonl" else 0)


def test_excepted_fragments_do_not_hold_what_their_json_says(shared_data: Path) -> None:
    for row in rows(shared_data / "iso15118" / "vectors.jsonl"):
        if row["name"] not in WRAPPER_LOSES_ID_OR_ALGORITHM:
            continue
        bits, said = bin(int(row["hex"], 16)), json.dumps(row["decoded"])
        assert in_bits(b"xmlenc#sha256", bits)
        assert not in_bits(b"sha512", bits)
        assert "sha512" in said or '"Id": "r0"' in said
        if '"Id": "r0"' in said:
            assert not in_bits(b"\x04r0", bits)


def in_bits(text: bytes, bits: str) -> bool:
    return "".join(f"{byte:08b}" for byte in text) in bits


def recordings(shared_data: Path) -> list[Path]:
    folder = shared_data / "iso15118"
    return sorted(folder.glob("captures/*.jsonl")) + sorted(folder.glob("sessions/*.jsonl"))


def test_recorded_sessions_decode_to_their_json_and_reencode_identically(shared_data: Path) -> None:
    files = recordings(shared_data)
    assert len(files) == 2 + 39
    count: Counter[str] = Counter()
    for file in files:
        for row in rows(file):
            if row["payload_type"] in SDP_PAYLOADS:
                count["SDP"] += 1
                continue
            place, data = f"{file.name}:{row['seq']}", bytes.fromhex(row["hex"])
            namespace = PAYLOADS[row["payload_type"]]
            message, padding = codec._decode(codec.document_grammar(namespace), data, len(data), fragment=False)
            assert as_json(message) == row["decoded"], place
            encoded = exi.encode(message)
            dirty = int.from_bytes(encoded) ^ int.from_bytes(data)
            assert len(encoded) == len(data), place
            assert dirty < 1 << padding, place
            count["dirty padding" if dirty else "identical"] += 1
            count["of these AC"] += namespace is Namespace.AC
    # Some stacks leave bits of an earlier message in the last byte.
    assert count == {"identical": 4238, "dirty padding": 86, "of these AC": 744, "SDP": 4}


def test_a_decoder_that_accepts_padding_still_refuses_a_byte_more(shared_data: Path) -> None:
    for row in rows(shared_data / "iso15118" / "captures" / "ISO-20_TLS13_DC_DS5366_Josev.jsonl"):
        if row["payload_type"] not in PAYLOADS:
            continue
        with pytest.raises(exi.ExiError, match="1 bytes follow the end"):
            decode(row, bytes.fromhex(row["hex"]) + b"\0")


def test_every_prefix_of_a_message_is_refused(shared_data: Path) -> None:
    checked = 0
    for number, row in enumerate(rows(shared_data / "iso15118" / "vectors.jsonl")):
        data = bytes.fromhex(row["hex"])
        if len(data) > 200 or number % 3:
            continue
        for length in range(len(data)):
            with pytest.raises(exi.ExiError) as caught:
                decode(row, data[:length])
            assert caught.value.bit is not None
            assert caught.value.bit <= 8 * length
            checked += 1
    assert checked > 1000
