"""Where metrics are read and what the heartbeat probes: what is taken, and what is refused with its remedy."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from support.config_dir import two_evses, write_config
from v2g.config.loader import ConfigError, load
from v2g.config.places import IcmpPlace, PlaceError, TcpPlace, metrics_place, probe_place
from v2g.config.schema_metrics import Metrics

SHIPPED = Path(__file__).resolve().parents[3] / "etc" / "v2g" / "v2g.yaml"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "etc"


def place(folder: Path, **metrics: Any) -> Path | TcpPlace:
    write_config(folder, two_evses(metrics=metrics))
    return metrics_place(load(folder).config)


def refused(folder: Path, **sections: Any) -> str:
    write_config(folder, two_evses(**sections))
    with pytest.raises(ConfigError) as caught:
        load(folder)
    (problem,) = caught.value.problems
    assert problem.file.endswith("v2g.yaml")
    assert problem.line is not None
    return str(problem)


@pytest.mark.parametrize(
    ("listen", "expected"),
    [
        ("", Path("/run/v2g/metrics.sock")),
        ("/run/other/m.sock", Path("/run/other/m.sock")),
        ("127.0.0.1:9464", TcpPlace("127.0.0.1", 9464)),
        ("[::1]:9464", TcpPlace("::1", 9464)),
        ("127.8.8.8:1", TcpPlace("127.8.8.8", 1)),
    ],
)
def test_a_socket_or_a_loopback_port_is_taken(folder: Path, listen: str, expected: Path | TcpPlace) -> None:
    assert place(folder, listen=listen) == expected


@pytest.mark.parametrize(
    ("listen", "words"),
    [
        ("0.0.0.0:9464", "can be reached from other hosts"),
        ("[::]:9464", "can be reached from other hosts"),
        ("192.0.2.1:9464", "can be reached from other hosts"),
        ("localhost:9464", "is no IP address"),
        ("::1:9464", "is no host with a port"),
        ("127.0.0.1", "is no host with a port"),
        ("127.0.0.1:0", "'0' is no port"),
        ("127.0.0.1:70000", "'70000' is no port"),
        ("9464", "is no host with a port"),
        ("metrics.sock", "is no host with a port"),
        ("/" + "x" * 150, "is longer than the 107 bytes"),
    ],
)
def test_anything_else_is_refused_with_the_remedy(folder: Path, listen: str, words: str) -> None:
    text = refused(folder, metrics={"listen": listen})
    assert words in text
    assert "metrics.listen" in text
    assert "127.0.0.1:9464" in text or "shorter path" in text


def test_a_group_is_for_a_socket(folder: Path) -> None:
    assert place(folder / "socket", group="prometheus") == Path("/run/v2g/metrics.sock")
    assert "metrics.group" in refused(folder, metrics={"listen": "127.0.0.1:9464", "group": "prometheus"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.1:443", TcpPlace("192.0.2.1", 443)),
        ("gw.example:443", TcpPlace("gw.example", 443)),
        ("[2001:db8::1]:443", TcpPlace("2001:db8::1", 443)),
        ("icmp:192.0.2.1", IcmpPlace("192.0.2.1")),
        ("icmp:2001:db8::1", IcmpPlace("2001:db8::1")),
        ("icmp:fe80::1%eth0", IcmpPlace("fe80::1%eth0")),
    ],
)
def test_a_gateway_is_probed_by_a_port_or_an_echo(text: str, expected: object) -> None:
    assert probe_place(text) == expected


@pytest.mark.parametrize("text", ["gw.example", "icmp:gw.example", "icmp:", "http://x:80", "a b:80", ":443", "[::1]"])
def test_a_gateway_that_is_none_is_refused_with_the_remedy(folder: Path, text: str) -> None:
    words = refused(folder, heartbeat={"probe": text})
    assert "heartbeat.probe" in words
    assert "icmp:192.0.2.1" in words


@given(st.text(max_size=60))
def test_no_text_is_more_than_refused(text: str) -> None:
    for read in (probe_place, lambda words: probe_place(f"icmp:{words}")):
        with contextlib.suppress(PlaceError):
            assert isinstance(read(text), TcpPlace | IcmpPlace)


def test_the_shipped_file_shows_the_section_and_its_defaults() -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    part = text[text.index("# metrics:\n") :].partition("\n\n")[0]
    section = yaml.safe_load("\n".join(line[2:] for line in part.splitlines()))["metrics"]
    assert section == {field.name: field.default for field in msgspec.structs.fields(Metrics)}
