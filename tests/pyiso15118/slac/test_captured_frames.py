"""Every recorded frame, and those made from public descriptions: decoded to the fields given, written back the same."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pyiso15118.slac.frame import Frame, decode_frame, encode_frame
from pyiso15118.slac.messages import UnknownMessage

OUR_NAMES = {
    "app": "application_type",
    "sec": "security_type",
    "msound_target": "m_sound_target",
    "timeout_100ms": "time_out_100ms",
    "cco_cap": "cco_capability",
    "nmk": "nmk",
    "duty": "duty_pct",
    "freq": "frequency_hz",
    "mV": "voltage_mv",
    "deviceid": "device_id",
    "success": "mstatus",
}
BARE = {"CM_NW_INFO.CNF", "VS_NW_INFO.CNF"}
"""Given raw, or of one station only: looked at by themselves."""


def rows(folder: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "slac" / name).read_text().splitlines()]


def given(row: dict[str, Any]) -> dict[str, Any]:
    """The fields of a row by our names, as far as they are the message's own."""
    fields = dict(row["fields"])
    for aside in ("step", "oui", "avg", "num_groups", "mvf_len"):
        fields.pop(aside, None)
    if row["name"] == "CM_SET_KEY.REQ":
        fields["new_key"] = fields.pop("nmk")
    return {OUR_NAMES.get(name, name): value for name, value in fields.items()}


def told(frame: Frame, name: str, like: Any) -> Any:
    value = getattr(frame.message, name)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return list(value)
    if isinstance(like, str) and isinstance(value, int):
        return value.to_bytes(len(like) // 2, "little").hex()
    return value


def class_of(row: dict[str, Any]) -> str:
    return row["name"].replace(".", "_").replace("VS_PL_LINK_STATUS", "VS_PL_LNK_STATUS")


@pytest.mark.parametrize("file", ["frames.jsonl", "frames_synthetic.jsonl"])
def test_each_frame_decodes_to_the_fields_given_and_is_written_back_byte_by_byte(shared_data: Path, file: str) -> None:
    seen: Counter[str] = Counter()
    for row in rows(shared_data, file):
        data = bytes.fromhex(row["hex"])
        frame = decode_frame(data)
        assert encode_frame(frame) == data, row
        assert (frame.source.hex(), frame.destination.hex()) == (
            row["src"].replace(":", ""),
            row["dst"].replace(":", ""),
        )
        if isinstance(frame.message, UnknownMessage):
            assert not row["fields"], row
            seen["unknown"] += 1
            continue
        assert type(frame.message).__name__ == class_of(row)
        seen[row["name"]] += 1
        if row["name"] in BARE:
            continue
        for name, value in given(row).items():
            assert told(frame, name, value) == value, (row["name"], name)
    assert sum(seen.values()) == {"frames.jsonl": 1305, "frames_synthetic.jsonl": 15}[file]
    assert seen["unknown"] == {"frames.jsonl": 420, "frames_synthetic.jsonl": 0}[file]


def test_a_recorded_modem_names_its_network_and_its_coordinator(shared_data: Path) -> None:
    row = next(r for r in rows(shared_data, "frames.jsonl") if r["name"] == "CM_NW_INFO.CNF")
    (network,) = decode_frame(bytes.fromhex(row["hex"])).message.networks  # type: ignore[attr-defined]
    assert network.nid.hex() == "4ebb5fc30a8704"
    assert (network.snid, network.tei, network.station_role) == (0x0E, 1, 2)
    assert network.cco_mac.hex(":") == "88:fc:a6:1c:7c:88"


def test_a_vehicle_that_joined_is_in_the_list_of_the_evses_modem(shared_data: Path) -> None:
    lists = [
        decode_frame(bytes.fromhex(r["hex"])).message
        for r in rows(shared_data, "frames.jsonl")
        if r["name"] == "CC_DISCOVER_LIST.CNF" and r["capture"].startswith("ISO-20_BPT_AC")
    ]
    assert lists[0].stations == ()  # type: ignore[attr-defined]
    joined = [one for told_ in lists for one in told_.stations]  # type: ignore[attr-defined]
    assert {(one.mac.hex(":"), one.tei, one.same_network) for one in joined} == {("bc:f2:af:f1:d4:3e", 2, 1)}


def test_qualcomms_network_information_tells_the_host_behind_a_modem_and_its_rates(shared_data: Path) -> None:
    row = next(r for r in rows(shared_data, "frames_synthetic.jsonl") if r["name"] == "VS_NW_INFO.CNF")
    (network,) = decode_frame(bytes.fromhex(row["hex"])).message.networks  # type: ignore[attr-defined]
    fields = row["fields"]
    assert (network.nid.hex(), network.snid, network.tei, network.station_role) == (
        fields["nid"],
        fields["snid"],
        fields["tei"],
        fields["role"],
    )
    (station,) = network.stations
    assert (station.mac.hex(), station.avg_tx_mbps, station.avg_rx_mbps) == (
        fields["sta"],
        fields["avg_tx_mbps"],
        fields["avg_rx_mbps"],
    )
    assert station.bridged_mac.hex(":") == "00:e0:4c:68:00:1d"
