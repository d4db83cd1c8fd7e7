"""Bundles, slots and a host to update, without an interpreter of their own: for tests of the steps between them."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from v2g.clock import ManualClock
from v2g.host.firmware.bundle import Bundle, describe_wheels, open_bundle, pack
from v2g.host.firmware.errors import FirmwareError
from v2g.host.firmware.manifest import FORMAT, PRODUCT, Manifest
from v2g.host.firmware.signature import PrivateKey
from v2g.host.firmware.slots import Mark, Slots
from v2g.host.firmware.transaction import Transactions

OWNERS = frozenset({0, __import__("os").geteuid()})


def new_key(folder: Path, name: str = "maker.pem") -> Ed25519PrivateKey:
    """Trusted by the patterns of :func:`trusted`."""
    key = Ed25519PrivateKey.generate()
    trust(folder, name, key)
    return key


def trust(folder: Path, name: str, key: PrivateKey) -> None:
    folder.mkdir(mode=0o755, exist_ok=True)
    path = folder / name
    path.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    path.chmod(0o644)


def trusted(folder: Path) -> tuple[str, ...]:
    return (str(folder / "*.pem"),)


def wheels(folder: Path, version: str) -> Path:
    """Ours and one more; what is in them is of no matter."""
    folder.mkdir()
    (folder / f"v2g_orchestrator-{version}-py3-none-any.whl").write_bytes(f"ours {version}".encode() * 500)
    (folder / "click-8.1.7-py3-none-any.whl").write_bytes(b"click" * 300)
    long = "python_pkcs11-0.10.1-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.manylinux_2_28_x86_64.whl"
    (folder / long).write_bytes(b"pkcs11" * 300)
    return folder


def manifest_of(folder: Path, version: str, **changes: object) -> Manifest:
    fields: dict[str, object] = {
        "format": FORMAT,
        "name": PRODUCT,
        "version": version,
        "python": "cp311",
        "platform": "linux_x86_64",
        "wheels": describe_wheels(folder.glob("*.whl")),
        "schemas": {"history": 1, "config": 1},
    }
    return Manifest(**{**fields, **changes})


def make_bundle(folder: Path, key: PrivateKey, version: str, **changes: object) -> Path:
    found = wheels(folder / f"wheels-{version}", version)
    path = folder / f"v2g-{version}.v2gfw"
    pack(manifest_of(found, version, **changes), found, key, path)
    return path


def opened(path: Path, keys: Path) -> Bundle:
    return open_bundle(path, trusted(keys), 1_800_000_000.0, OWNERS)


class Host:
    """A host with slot a of version 0.1.0, a database, and services of which it is written down what they do.

    What runs is what ``current`` led to when the services were started. ``migrates``: versions that bring the database
    to schema 2 when they start; ``sick``: versions that never become well.
    """

    def __init__(self, root: Path) -> None:
        self.slots = Slots(root / "v2g")
        self.database = root / "history.sqlite"
        self.log = root / "log"
        self.sessions: tuple[str, ...] = ()
        self.migrates: set[str] = set()
        self.sick: set[str] = set()
        self.unfit: set[str] = set()
        self.clock = ManualClock()

    def install_first(self) -> None:
        self.slots.path("a").mkdir(parents=True)
        self.slots.seal("a", Mark(version="0.1.0", digest=""))
        self.slots.point_to("a")
        with sqlite3.connect(self.database) as connection:
            connection.execute("CREATE TABLE minute (n INTEGER)")
            connection.execute("INSERT INTO minute VALUES (1)")
            connection.execute("PRAGMA user_version = 1")
        self.start()

    # ---- the daemon ----

    def hold(self, *, drain: bool) -> tuple[str, ...]:
        if self.running and self.sessions and not drain:
            raise FirmwareError(f"sessions are active: {'; '.join(self.sessions)}")
        self._write(f"hold {'drain' if drain else ''}".strip())
        return tuple(f"{each}: paused" for each in self.sessions) if drain else ()

    def release(self) -> None:
        self._write("release")

    def stop(self) -> None:
        self._write("stop")

    def start(self) -> None:
        active = self.slots.active()
        mark = self.slots.mark(active) if active is not None else None
        assert mark is not None, "what is started is whole"
        if mark.version in self.migrates:
            with sqlite3.connect(self.database) as connection:
                connection.execute("PRAGMA user_version = 2")
        self._write(f"start {mark.version}")

    def prove(self, version: str) -> None:
        self._write(f"prove {version}")
        if self.running != version:
            raise FirmwareError(f"{self.running or 'nothing'} runs")
        if version in self.sick:
            raise FirmwareError(f"{version} is not ready")

    # ---- the slotmaker ----

    def install(self, wheels: Sequence[Path], slot: Path) -> None:
        slot.mkdir()
        for wheel in wheels:
            (slot / wheel.name).write_bytes(wheel.read_bytes())

    def check(self, slot: Path, version: str) -> None:
        assert (slot / f"v2g_orchestrator-{version}-py3-none-any.whl").exists()
        if version in self.unfit:
            raise FirmwareError("the configuration does not hold with the new version")

    def migrate_copies(self, slot: Path, folder: Path) -> None:
        assert slot.is_dir()
        if not (folder / "history.sqlite").exists():
            return
        with sqlite3.connect(folder / "history.sqlite") as connection:
            assert connection.execute("SELECT count(*) FROM minute").fetchone() == (1,)
            connection.execute("PRAGMA user_version = 7")

    # ---- what is known of it ----

    def lines(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []

    @property
    def running(self) -> str:
        """The version that was started last and not stopped since; empty: nothing runs."""
        for line in reversed(self.lines()):
            if line == "stop":
                return ""
            if line.startswith("start "):
                return line.removeprefix("start ")
        return ""

    @property
    def schema(self) -> int:
        with sqlite3.connect(self.database) as connection:
            return int(connection.execute("PRAGMA user_version").fetchone()[0])

    def transactions(self, reached: Callable[[str], None] = lambda name: None) -> Transactions:
        return Transactions(
            self.slots,
            self,
            self,
            (("history", self.database),),
            self.clock,
            _Progress(reached),
            lambda code, words: self._write(f"note {code}"),
        )

    def boot(self) -> None:
        """What a loss of power and a boot make of it: nothing runs; what is unproven is taken back; services start."""
        self._write("stop")
        self.transactions().after_boot()
        if self.slots.active() is not None:
            self.start()

    def _write(self, line: str) -> None:
        with self.log.open("a") as file:
            file.write(line + "\n")


class _Progress:
    def __init__(self, reached: Callable[[str], None]) -> None:
        self._reached = reached

    def step(self, name: str, words: str) -> None:
        self._reached(name)

    def advance(self, size: int) -> None:
        pass


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
