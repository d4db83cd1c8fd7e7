"""What was installed: packages against their pins, users and groups, units, sockets of daemons. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from v2g.host.preflight.model import PreflightLine, failed, passed, warned

_CLAUSE = re.compile(r"(===|==|~=|!=|<=|>=|<|>)\s*([A-Za-z0-9.*+!_-]+)")
_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*\(?([^;)]*)\)?\s*(?:;(.*))?$")


class PinError(ValueError):
    """A requirement that is not understood."""


@dataclass(frozen=True, slots=True)
class Pin:
    """A requirement of ours: ``clauses`` as (operator, version)."""

    package: str
    clauses: tuple[tuple[str, str], ...]
    marker: str = ""

    def __str__(self) -> str:
        return self.package + ",".join(f"{sign}{version}" for sign, version in self.clauses)


@dataclass(frozen=True, slots=True)
class UnitFacts:
    """``file``: where the unit is; empty: not installed. ``needed``: without it nothing works. ``wanted``: it has to be
    enabled, since no other unit starts it."""

    name: str
    file: str = ""
    enabled: bool = False
    masked: bool = False
    needed: bool = True
    wanted: bool = True


@dataclass(frozen=True, slots=True)
class SocketFacts:
    """``state``: ``absent``, ``answers``, ``dead`` (nobody listens at it), ``other`` (no socket is there),
    ``unknown``."""

    path: str
    state: str
    owner: str


def parse_pin(text: str) -> Pin:
    """``cryptography<51,>=49 ; extra == "x"``. Raises :class:`PinError`."""
    found = _REQUIREMENT.match(text)
    if found is None:
        raise PinError(f"{text!r} is no requirement")
    clauses = [part.strip() for part in found[2].split(",") if part.strip()]
    parsed = [_CLAUSE.fullmatch(clause) for clause in clauses]
    if None in parsed:
        raise PinError(f"{text!r}: its version is not understood")
    return Pin(found[1], tuple((each[1], each[2]) for each in parsed if each), (found[3] or "").strip())


def keeps(pin: Pin, version: str) -> bool:
    """Whether a version is within a pin. Raises :class:`PinError` for a version that is none."""
    return all(_keeps(sign, version, wanted) for sign, wanted in pin.clauses)


def _keeps(sign: str, version: str, wanted: str) -> bool:
    if sign == "===":
        return version == wanted
    if wanted.endswith(".*"):
        head = _release(wanted[:-2])[0]
        same = _padded(_release(version)[0], len(head))[: len(head)] == head
        return same if sign == "==" else not same
    have, want = _comparable(version, wanted)
    match sign:
        case "==":
            return have == want
        case "!=":
            return have != want
        case "<":
            return have < want
        case "<=":
            return have <= want
        case ">":
            return have > want
        case ">=":
            return have >= want
        case _:
            head = _release(wanted)[0][:-1]
            return have >= want and _padded(_release(version)[0], len(head))[: len(head)] == head


def _comparable(one: str, other: str) -> tuple[tuple[tuple[int, ...], int], tuple[tuple[int, ...], int]]:
    (a, a_rank), (b, b_rank) = _release(one), _release(other)
    length = max(len(a), len(b))
    return (_padded(a, length), a_rank), (_padded(b, length), b_rank)


def _release(version: str) -> tuple[tuple[int, ...], int]:
    """The numbers, and -1 for a version before its release, 1 for one behind it."""
    found = re.match(r"v?(?:\d+!)?(\d+(?:\.\d+)*)(.*)$", version.strip())
    if found is None:
        raise PinError(f"{version!r} is no version")
    rest = found[2].partition("+")[0].lower().lstrip("._-")
    rank = 0 if not rest else 1 if rest.startswith(("post", "r")) and not rest.startswith("rc") else -1
    return tuple(int(part) for part in found[1].split(".")), rank


def _padded(numbers: tuple[int, ...], length: int) -> tuple[int, ...]:
    return numbers + (0,) * (length - len(numbers))


def judge_versions(
    requirements: Sequence[str] | None, installed: Callable[[str], str | None], extras: frozenset[str] = frozenset()
) -> Iterator[PreflightLine]:
    """``requirements``: Requires-Dist of our own distribution, None: not installed as one. ``installed``: the version
    of a package, None where it is missing. ``extras``: those that the configuration needs."""
    name, good = "versions", 0
    again = "install this release again: pip install --force-reinstall of its wheelhouse, or the .deb"
    if requirements is None:
        yield warned(name, "v2g-orchestrator is not installed as a package: nothing to compare with", again)
        return
    for text in requirements:
        try:
            pin = parse_pin(text)
            if not _concerns(pin.marker, extras):
                continue
            version = installed(pin.package)
            if version is None:
                yield failed(name, f"{pin.package} is not installed; {pin} is needed", again)
            elif not keeps(pin, version):
                yield failed(name, f"{pin.package} {version} is installed; {pin} is needed", again)
            else:
                good += 1
        except PinError as error:
            yield warned(name, str(error), again)
    if good:
        yield passed(name, f"{good} packages as pinned")


def _concerns(marker: str, extras: frozenset[str]) -> bool:
    if not marker:
        return True
    extra = re.search(r"extra\s*==\s*['\"]([^'\"]+)['\"]", marker)
    # A pin for certain platforms only is the installer's to judge.
    return extra is not None and extra[1] in extras and marker.strip() == extra[0]


def judge_users(
    users: Mapping[str, bool], groups: Mapping[str, bool], roles: Mapping[str, bool]
) -> Iterator[PreflightLine]:
    """By name, whether there is one: users of the daemons, their groups, groups of roles."""
    name = "users"
    remedy = "v2g-tool install, or systemd-sysusers systemd/sysusers.d/v2g.conf"
    before = False
    for kind, names in (("user", users), ("group", groups)):
        if missing := [each for each, there in names.items() if not there]:
            before = True
            yield failed(name, f"no {kind} {', '.join(missing)}: the daemons cannot start", remedy)
    if missing := [each for each, there in roles.items() if not there]:
        before = True
        yield warned(name, f"no group {', '.join(missing)}: its role has no members", remedy)
    if not before:
        yield passed(name, f"{', '.join(users)}; groups {', '.join((*groups, *roles))}")


def judge_units(systemd: bool, units: Sequence[UnitFacts]) -> Iterator[PreflightLine]:
    name = "units"
    if not systemd:
        yield warned(name, "systemd does not run here: nobody starts the daemons after a boot", "start them by hand")
        return
    good = [unit.name for unit in units if unit.file and (unit.enabled or not unit.wanted) and not unit.masked]
    absent = [unit for unit in units if not unit.file and not unit.masked]
    if needed := [unit.name for unit in absent if unit.needed]:
        yield failed(name, f"not installed: {', '.join(needed)}", "v2g-tool install")
    if others := [unit.name for unit in absent if not unit.needed]:
        yield warned(name, f"not installed: {', '.join(others)}", "v2g-tool install")
    if masked := [unit.name for unit in units if unit.masked]:
        yield warned(name, f"masked: {', '.join(masked)}", f"systemctl unmask {' '.join(masked)}")
    if off := [unit.name for unit in units if unit.file and unit.wanted and not unit.enabled and not unit.masked]:
        yield warned(
            name, f"not enabled: {', '.join(off)}: not started after a boot", f"systemctl enable --now {' '.join(off)}"
        )
    if good:
        yield passed(name, f"{len(good)} installed, and enabled where they have to be")


def judge_sockets(sockets: Sequence[SocketFacts]) -> Iterator[PreflightLine]:
    name, good = "sockets", []
    for one in sockets:
        if one.state == "other":
            yield failed(name, f"{one.path} is there and is no socket", "remove it; its daemon cannot start")
        elif one.state == "dead":
            yield warned(
                name,
                f"{one.path} was left by a daemon that has died",
                f"systemctl start {one.owner}, which replaces it; journalctl -u {one.owner} says why it died",
            )
        elif one.state == "answers":
            good.append(one.path.rpartition("/")[2])
    if good:
        yield passed(name, f"{', '.join(good)} answer{'s' if len(good) == 1 else ''}")
    elif not any(one.state in ("other", "dead") for one in sockets):
        yield passed(name, "none is left; no daemon runs")
