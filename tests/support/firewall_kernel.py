"""A kernel's nftables that keeps one text, and what the transactions need beside it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from v2g.host.firewall.model import Features
from v2g.host.firewall.nft import FirewallError, Nft
from v2g.host.firewall.render import REMOVAL
from v2g.host.firewall.state import Pending, Place

HERE = Place(boot_id="boot-1", netns=7)


class FakeNft(Nft):
    """``rules``: the text of our table; empty: none. ``admitted``: set -> MAC -> (whole, left), s."""

    def __init__(self) -> None:
        self.rules = ""
        self.admitted: dict[str, dict[str, tuple[int, int]]] = {}
        self.refuses = False
        self.can = Features()
        self.loads: list[str] = []
        self.commands: list[dict[str, Any]] = []

    def load(self, text: str) -> None:
        if self.refuses:
            raise FirewallError("nft refuses: no")
        self.loads.append(text)
        assert text.startswith(REMOVAL) or REMOVAL in text
        body = text.split(REMOVAL, 1)[1]
        lines = body.splitlines()
        self.rules = "\n".join(line for line in lines if not line.startswith(("add element", "flush set")))
        self.admitted = {}
        for line in lines:
            if found := re.fullmatch(r"add element inet v2g (\S+) \{ (\S+) timeout (\d+)s expires (\d+)s \}", line):
                self.admitted.setdefault(found[1], {})[found[2]] = (int(found[3]), int(found[4]))

    def check(self, text: str) -> None:
        if "syntax error" in text:
            raise FirewallError("nft refuses: syntax error")

    def load_json(self, commands: list[dict[str, Any]]) -> None:
        self.commands += commands

    def table_text(self) -> str:
        return self.rules

    def table(self) -> list[dict[str, Any]]:
        if not self.rules:
            return []
        names = re.findall(r"\tset (plc_macs_\w+)", self.rules)
        sets = [
            {
                "set": {
                    "name": name,
                    "flags": ["timeout"],
                    "timeout": 43200,
                    "elem": [
                        {"elem": {"val": mac, "timeout": whole_s, "expires": left_s}}
                        for mac, (whole_s, left_s) in self.admitted.get(name, {}).items()
                    ],
                }
            }
            for name in names
        ]
        return [{"table": {"name": "v2g", "comment": self.rules}}, *sets]

    def features(self) -> Features:
        return self.can


class FakeWatcher:
    def __init__(self) -> None:
        self.started: list[Pending] = []
        self.stopped: list[str] = []
        self.fails = False

    def start(self, pending: Pending, seconds: float) -> str:
        if self.fails:
            raise FirewallError("the rollback's watcher did not start: nothing was changed")
        self.started.append(pending)
        return "a fake"

    def stop(self, pending: Pending) -> None:
        self.stopped.append(pending.id)


def rules(name: str) -> str:
    """A text with a PLC link, told apart by ``name``."""
    return f"# {name}\n{REMOVAL}table inet v2g {{\n\t# {name}\n\tset plc_macs_evse1 {{\n\t\tflags timeout\n\t}}\n}}\n"


def process(proc: Path, pid: int, name: str, parent: int, environ: bytes = b"", began: int = 100) -> None:
    """An entry of a ``/proc`` for tests."""
    folder = proc / str(pid)
    folder.mkdir(parents=True)
    fields = ["S", str(parent), *["0"] * 17, str(began), *["0"] * 20]
    (folder / "stat").write_text(f"{pid} ({name}) {' '.join(fields)}\n")
    (folder / "environ").write_bytes(environ)
    (folder / "comm").write_text(f"{name}\n")
