"""``nft(8)``: found at fixed places, run without a shell, with errors that say what to do."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec

from v2g.host.firewall.model import TABLE, Features

SEARCH_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"
_TIMEOUT_S = 60.0
_PROBES = {
    "connection_count": "chain c { ct count over 4 drop; }",
    "limit": "chain c { limit rate over 5/second burst 10 packets drop; }",
    "log": 'chain c { log prefix "v2g-drop-probe "; }',
    "timeouts": "set s { type ether_addr; size 16; flags timeout; timeout 60s; }",
}
_NEEDED = """\
table inet v2g_probe {
	set i { type ifname; elements = { "evse1" }; }
	set m { type ipv4_addr . inet_service; elements = { 192.0.2.1 . 502 }; }
	set a { type ipv6_addr; flags interval; elements = { 2001:db8::/32 }; }
	chain f { counter drop; }
	map l { type ifname : verdict; elements = { "evse1" : goto f }; }
	chain c {
		type filter hook input priority filter; policy accept;
		ct state established,related counter accept comment "x"
		iifname vmap @l
		ether saddr 00:e0:4c:68:00:1d ip6 saddr @a tcp dport { 1, 2 } accept
		ct direction original ip daddr . tcp dport @m accept
	}
}
"""


class FirewallError(Exception):
    """The firewall cannot be read or changed: the reason and the remedy."""


class Nft:
    """Runs ``nft`` in the network namespace of this process; ``program`` as found by :func:`find`."""

    def __init__(self, program: str | None = None) -> None:
        self._program = program or find()

    def load(self, text: str) -> None:
        """Everything in ``text`` in one transaction, or nothing of it. Raises :class:`FirewallError`."""
        self._checked(("-f", "-"), text)

    def check(self, text: str) -> None:
        """As :meth:`load`, and nothing is changed: what the kernel refuses is refused here. Raises."""
        self._checked(("-c", "-f", "-"), text)

    def load_json(self, commands: list[dict[str, Any]]) -> None:
        """The same as JSON of libnftables-json(5). Raises :class:`FirewallError`."""
        self._checked(("-j", "-f", "-"), msgspec.json.encode({"nftables": commands}).decode())

    def table_text(self) -> str:
        """Our table as ``load`` takes it; empty: there is none. Raises :class:`FirewallError`."""
        return self._checked(("list", "table", "inet", TABLE), "") if self.table() else ""

    def table(self) -> list[dict[str, Any]]:
        """What the kernel has of our table, as objects of libnftables-json; empty: there is none. Raises."""
        done = self._run(("-j", "list", "tables"), "")
        self._judge(done)
        there = any(_is_ours(one) for one in _objects(done.stdout))
        return _objects(self._checked(("-j", "list", "table", "inet", TABLE), "")) if there else []

    def features(self) -> Features:
        """What this kernel can do. Raises :class:`FirewallError` where it lacks what there is no doing without."""
        self.check(_NEEDED)
        return Features(**{name: self._can(text) for name, text in _PROBES.items()})

    def _can(self, text: str) -> bool:
        return self._run(("-c", "-f", "-"), f"table inet v2g_probe {{\n{text}\n}}\n").returncode == 0

    def _checked(self, arguments: tuple[str, ...], text: str) -> str:
        done = self._run(arguments, text)
        self._judge(done)
        return done.stdout

    def _run(self, arguments: tuple[str, ...], text: str) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(  # noqa: S603 (a fixed program; the text is checked word by word)
                (self._program, *arguments),
                input=text,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_TIMEOUT_S,
                check=False,
                env={"PATH": SEARCH_PATH, "LC_ALL": "C"},
            )
        except subprocess.TimeoutExpired:
            raise FirewallError(
                f"nft has not answered within {_TIMEOUT_S:g} s; is another program changing rules?"
            ) from None
        except OSError as error:
            raise FirewallError(f"{self._program} cannot be run: {error.strerror}") from None

    @staticmethod
    def _judge(done: subprocess.CompletedProcess[str]) -> None:
        if done.returncode == 0:
            return
        words = " ".join(done.stderr.split())[:600]
        if os.strerror(errno.EPERM) in done.stderr:
            raise FirewallError("the firewall is root's: run this with sudo (it needs CAP_NET_ADMIN)")
        unknown = (errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT, errno.EOPNOTSUPP)
        if any(os.strerror(number) in done.stderr for number in unknown):
            raise FirewallError(
                f"this kernel has no nftables for it ({words}): it needs CONFIG_NF_TABLES_INET, NFT_CT and their kin, "
                "in Debian's kernels the module nf_tables: modprobe nf_tables"
            )
        raise FirewallError(f"nft refuses: {words}")


def find(path: str = SEARCH_PATH) -> str:
    """Where ``nft`` is. Raises :class:`FirewallError`."""
    program = shutil.which("nft", path=path)
    if program is None:
        raise FirewallError("nft is not installed: apt-get install nftables")
    return str(Path(program))


def _objects(text: str) -> list[dict[str, Any]]:
    try:
        found = msgspec.json.decode(text or '{"nftables": []}')
        return [one for one in found["nftables"] if isinstance(one, dict)]
    except (msgspec.DecodeError, KeyError, TypeError):
        raise FirewallError("what nft lists cannot be read: is it older than 0.9.8? nft --version") from None


def _is_ours(one: dict[str, Any]) -> bool:
    table = one.get("table")
    return isinstance(table, dict) and table.get("family") == "inet" and table.get("name") == TABLE
