"""A head's caps across a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from v2g.mesh.messages import Cap
from v2g.orchestrator.mesh_caps import CapStore

FEEDER = Cap(group="feeder", import_w=150e3, export_w=100e3, reason="maintenance")
BUSBAR = Cap(group="busbar", import_w=0.0, export_w=1e9)


def test_what_still_stands_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "caps.json"
    CapStore(path).save({"feeder": (FEEDER, 1000.0), "busbar": (BUSBAR, 500.0)})
    assert path.stat().st_mode & 0o777 == 0o600
    assert CapStore(path).load(500.0) == {"feeder": (FEEDER, 1000.0)}
    assert CapStore(path).load(499.0) == {"feeder": (FEEDER, 1000.0), "busbar": (BUSBAR, 500.0)}


def test_nothing_is_kept_of_none(tmp_path: Path) -> None:
    store = CapStore(tmp_path / "caps.json")
    assert store.load(0.0) == {}
    store.save({"feeder": (FEEDER, 10.0)})
    store.save({})
    assert (store.load(0.0), store.problem) == ({}, "")


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b'[{"message": "AAAA", "until_unix_s": 9}]', b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "caps.json"
    path.write_bytes(content)
    store = CapStore(path)
    assert store.load(0.0) == {}
    assert str(path) in store.problem
    assert "give them anew" in store.problem


def test_a_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    store = CapStore(tmp_path / "missing" / "caps.json")
    store.save({"feeder": (FEEDER, 10.0)})
    assert "not kept" in store.problem
