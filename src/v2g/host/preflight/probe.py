"""Looks at the host for the preflight: reads below ``root``, writes nothing but one small file that it removes.

What cannot be read is an absent fact, never an error.
"""

from __future__ import annotations

import grp
import ipaddress
import os
import pwd
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from itertools import islice
from pathlib import Path

from v2g.host.preflight.installation import SocketFacts, UnitFacts
from v2g.host.preflight.network import AddressFacts, InterfaceFacts
from v2g.host.preflight.storage import DirFacts
from v2g.host.preflight.system import KernelFacts, LedFacts, ProcessFacts, UnitRights

_UNIT_DIRS = (
    "etc/systemd/system",
    "run/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
)
_MAX_PROCESSES = 20_000
_MAX_LINES = 100_000
_MAX_BYTES = 1 << 20
_IFF_UP = 1
_LISTENING = 0x10000
_PROBE_BYTES = 4096
_DISTRIBUTION = "v2g-orchestrator"


@dataclass(frozen=True, slots=True)
class Root:
    """Where the host's files are; another place in tests."""

    path: Path = Path("/")

    def __truediv__(self, name: str) -> Path:
        return self.path / name


def kernel(root: Root) -> KernelFacts:
    said = os.uname()
    text = _read(root / "sys/kernel/realtime").strip()
    return KernelFacts(said.release, said.version, {"1": True, "0": False}.get(text))


def interfaces(root: Root, names: Iterable[str]) -> tuple[InterfaceFacts, ...]:
    addresses: dict[str, list[AddressFacts]] = {}
    for line in _lines(root / "proc/self/net/if_inet6"):
        fields = line.split()
        try:
            address = ipaddress.IPv6Address(bytes.fromhex(fields[0]))
            addresses.setdefault(fields[5], []).append(AddressFacts(address, int(fields[4], 16)))
        except (ValueError, IndexError):
            continue
    return tuple(_interface(root, name, tuple(addresses.get(name, ()))) for name in dict.fromkeys(names))


def _interface(root: Root, name: str, addresses: tuple[AddressFacts, ...]) -> InterfaceFacts:
    folder = root / f"sys/class/net/{name}"
    try:
        up = bool(int(_read(folder / "flags").strip(), 16) & _IFF_UP)
    except ValueError:
        up = True
    carrier = {"1": True, "0": False}.get(_read(folder / "carrier").strip())
    disabled = {"1": True, "0": False}.get(_read(root / f"proc/sys/net/ipv6/conf/{name}/disable_ipv6").strip())
    return InterfaceFacts(name, folder.exists() or bool(addresses), up, carrier, disabled, addresses)


def process(root: Root, *words: str) -> ProcessFacts | None:
    """The first process whose command line has each of ``words`` as a word, or as the end of a path."""
    try:
        entries = sorted(int(name) for name in os.listdir(root / "proc") if name.isdecimal())  # noqa: PTH208
    except OSError:
        return None
    for pid in islice(entries, _MAX_PROCESSES):
        folder = root / f"proc/{pid}"
        given = _read(folder / "cmdline").split("\0")
        if all(any(each == word or each.endswith(f"/{word}") for each in given) for word in words):
            return _process(pid, folder)
    return None


def process_of(root: Root, pid: int) -> ProcessFacts:
    return _process(pid, root / f"proc/{pid}")


def _process(pid: int, folder: Path) -> ProcessFacts:
    status = dict(line.partition(":")[::2] for line in _lines(folder / "status"))
    try:
        uid = int(status.get("Uid", "-1").split()[1])
    except (ValueError, IndexError):
        uid = -1
    try:
        capabilities: int | None = int(status.get("CapEff", "").strip(), 16)
    except ValueError:
        capabilities = None
    return ProcessFacts(pid, uid, capabilities)


def unit_rights(root: Root, name: str) -> UnitRights | None:
    file = _unit_file(root, name)
    if file is None:
        return None
    rtprio, memlock = 0, ""
    ambient: tuple[str, ...] = ()
    for path in (file, *_drop_ins(root, name)):
        for line in _lines(path):
            key, _, value = line.strip().partition("=")
            if key == "LimitRTPRIO":
                rtprio = int(value) if value.isdecimal() else 99 if value == "infinity" else 0
            elif key == "LimitMEMLOCK":
                memlock = value.strip()
            elif key == "AmbientCapabilities":
                ambient = (*ambient, *value.split()) if value.strip() else ()
    return UnitRights(name, rtprio, memlock, ambient)


def units(root: Root, names: Sequence[tuple[str, bool, bool]]) -> tuple[UnitFacts, ...]:
    """``names``: each with whether nothing works without it, and whether it has to be enabled."""
    return tuple(_unit(root, *each) for each in names)


def systemd_runs(root: Root) -> bool:
    return (root / "run/systemd/system").is_dir()


def _unit(root: Root, name: str, needed: bool, wanted: bool) -> UnitFacts:
    file = _unit_file(root, name)
    enabled = any((folder / name).is_symlink() for folder in _glob(root / "etc/systemd/system", "*.wants"))
    masked = any(_is_masked(root / f"{folder}/{name}") for folder in _UNIT_DIRS[:2])
    return UnitFacts(name, str(file) if file is not None and not masked else "", enabled, masked, needed, wanted)


def _unit_file(root: Root, name: str) -> Path | None:
    return next((path for folder in _UNIT_DIRS if (path := root / f"{folder}/{name}").is_file()), None)


def _drop_ins(root: Root, name: str) -> Iterator[Path]:
    for folder in reversed(_UNIT_DIRS):
        yield from sorted(_glob(root / f"{folder}/{name}.d", "*.conf"))


def _is_masked(path: Path) -> bool:
    try:
        return path.is_symlink() and os.readlink(path) == os.devnull  # noqa: PTH115 (its text, not where it leads)
    except OSError:
        return False


def directory(use: str, path: Path, *, write: bool) -> DirFacts:
    """``write``: try it with a small file."""
    try:
        if not stat.S_ISDIR(path.stat().st_mode):
            return DirFacts(use, str(path), "is no directory")
        room = os.statvfs(path)
    except OSError as error:
        return DirFacts(use, str(path), error.strerror or str(error))
    return DirFacts(
        use,
        str(path),
        write_problem=_write_problem(path) if write else "",
        read_only=bool(room.f_flag & os.ST_RDONLY),
        free_bytes=room.f_bavail * room.f_frsize,
        total_bytes=room.f_blocks * room.f_frsize,
        free_inodes=room.f_favail,
        inodes=room.f_files,
    )


def _write_problem(path: Path) -> str:
    probe = path / f".preflight.{os.getpid()}"
    try:
        probe.unlink(missing_ok=True)
        fd = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, bytes(_PROBE_BYTES))
        finally:
            os.close(fd)
            probe.unlink(missing_ok=True)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def leds(root: Root, names: Iterable[str]) -> tuple[LedFacts, ...]:
    folder = root / "sys/class/leds"
    return tuple(
        LedFacts(name, (folder / name / "brightness").exists(), os.access(folder / name / "brightness", os.W_OK))
        for name in names
        if name
    )


def users(names: Iterable[str]) -> dict[str, bool]:
    return {name: _is_known(pwd.getpwnam, name) for name in names}


def groups(names: Iterable[str]) -> dict[str, bool]:
    return {name: _is_known(grp.getgrnam, name) for name in names}


def _is_known(lookup: object, name: str) -> bool:
    assert callable(lookup)  # noqa: S101 (one of the two above)
    try:
        lookup(name)
    except KeyError:
        return False
    return True


def requirements() -> tuple[str, ...] | None:
    """Requires-Dist of our own distribution."""
    try:
        return tuple(metadata.requires(_DISTRIBUTION) or ())
    except metadata.PackageNotFoundError:
        return None


def installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def listening(root: Root) -> frozenset[str]:
    """Paths of Unix sockets at which somebody waits, of this network namespace."""
    found = set()
    for line in _lines(root / "proc/self/net/unix"):
        fields = line.split()
        try:
            if len(fields) >= 8 and int(fields[3], 16) & _LISTENING:
                found.add(fields[7])
        except ValueError:
            continue
    return frozenset(found)


def socket_file(path: Path, owner: str, answers: bool | None) -> SocketFacts:
    """``answers`` None: not known."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return SocketFacts(str(path), "absent", owner)
    except OSError:
        return SocketFacts(str(path), "unknown", owner)
    if not stat.S_ISSOCK(mode):
        return SocketFacts(str(path), "other", owner)
    return SocketFacts(str(path), {True: "answers", False: "dead", None: "unknown"}[answers], owner)


def _glob(folder: Path, pattern: str) -> list[Path]:
    try:
        return list(folder.glob(pattern))
    except OSError:
        return []


def _lines(path: Path) -> list[str]:
    return _read(path).splitlines()[:_MAX_LINES]


def _read(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(_MAX_BYTES)
    except OSError:
        return ""
