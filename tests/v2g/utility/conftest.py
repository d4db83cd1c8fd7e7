from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from support.kept_log import KeptLog
from v2g.config.schema import Config

SITE: dict[str, Any] = {
    "site": {"id": "s1"},
    "transformer": {"id": "T1", "rated_kva": 250},
    "grid": {"nominal_voltage_v": 277},
    "relay": {"setting_pu": 1.1, "delay_s": 12.5, "feedback_path": "/run/relay"},
    "evses": [
        {
            "kind": "DC",
            "id": "US*V2G*E1",
            "interface": "evse1",
            "inverter": {"modbus": {"host": "10.0.0.1"}},
            "dc": {"modbus": {"host": "10.0.1.1"}},
        }
    ],
}


@pytest.fixture
def site_with(tmp_path: Path) -> Callable[..., Config]:
    """A configuration with this ``utility`` section; its sockets are in the test's own directory."""

    def make(**utility: Any) -> Config:
        return msgspec.convert(SITE | {"paths": {"run_dir": str(tmp_path)}, "utility": utility}, Config)

    return make


class FeedClient:
    """An adapter: one line, one answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, path: Path) -> FeedClient:
        return cls(*await asyncio.open_unix_connection(str(path)))

    async def tell(self, **reading: Any) -> dict[str, Any]:
        return await self.send(json.dumps(reading).encode() + b"\n")

    async def send(self, line: bytes) -> dict[str, Any]:
        self.writer.write(line)
        return await self.answer()

    async def answer(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(await asyncio.wait_for(self.reader.readline(), 10.0))
        return found

    async def ended(self) -> bool:
        return await asyncio.wait_for(self.reader.read(1), 10.0) == b""

    def close(self) -> None:
        self.writer.close()


@pytest.fixture
def feed_client() -> type[FeedClient]:
    return FeedClient


@pytest.fixture
def kept_log() -> KeptLog:
    return KeptLog()
