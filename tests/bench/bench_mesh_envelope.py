"""Times envelopes of the mesh: sealed and opened, by kind of key and number of members.

    python tests/bench/bench_mesh_envelope.py

Writes ``report_mesh_envelope.md`` beside this file. Times are CPU time of the quickest series. Beside the whole stands
what the signature alone costs: the rest is msgpack, checks and counting.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from support.cpu_time import best_us
from support.cpu_time import repeated as in_rounds
from support.mesh_pki import Kind, MeshPki
from v2g.mesh.envelope import BURST, JUDGED_PER_S, MOST_PER_S, EnvelopeError, Opener, Sealer
from v2g.mesh.identity import Identity
from v2g.mesh.messages import Flexible, Ping, Range, Seen, State, encode
from v2g.mesh.trust import Drop, Trust, verify

REPORT = Path(__file__).with_name("report_mesh_envelope.md")
NOW_S = 1_790_000_000.0
BOOT_US = 1_789_999_000_000_000
SERIES = 25
ROUNDS = 300
KINDS: tuple[Kind, ...] = ("P-256", "P-384", "Ed25519")
MEMBERS = (6, 100, 512)
PERIOD_S = 1.0
CERTIFICATE_EVERY_S = 5.0
FREELY = 1e9
"""Envelopes a second: the bench is not to be dropped for a flood."""


def state(members: int) -> State:
    """As a controller tells it among so many."""
    pair = Range(-41_250.5, 187_333.25)
    return State(
        member="transformer-001", flow_w=98_761.5, base_w=61_042.25, floor=pair, wish=pair, claim=pair, ask=pair,
        capability=pair, ahead=pair, top_oil_c=61.37, hot_spot_c=77.52,
        flexible=Flexible(vehicles=14, needed_wh=211_500.0, surplus_wh=80_250.0),
        seen={f"transformer-{number:03}": Seen(BOOT_US + number, 137) for number in range(1, members)},
        links=("transformer-002", "transformer-003"), version="0.1.0",
    )  # fmt: skip


best = partial(best_us, rounds=ROUNDS, series=SERIES)
repeated = partial(in_rounds, rounds=ROUNDS)


class Subject:
    """One sender with a key of a kind, and a receiver."""

    def __init__(self, pki: MeshPki, kind: Kind, members: int) -> None:
        self.trust: Trust = pki.trust()
        self.identity: Identity = pki.identity("transformer-001", kind=kind)
        self.sealer = Sealer("grid-7/flat", self.identity, BOOT_US)
        self.message = state(members)
        self.first = self.seal(True)
        self.others = [self.seal(False) for _ in range(ROUNDS)]

    def seal(self, certificate: bool) -> bytes:
        return self.sealer.seal(self.message, NOW_S, 3.0, with_certificate=certificate)[1]

    def opener(self, most_per_s: float = FREELY) -> Opener:
        voices = frozenset({"transformer-001"})
        return Opener("grid-7/flat", self.trust, voices, most_per_s=most_per_s, burst=most_per_s)

    def open_all(self) -> None:
        opener = self.opener()
        opener.open(self.first, 0.0, NOW_S)
        for data in self.others:
            opener.open(data, 0.0, NOW_S)

    def open_first(self) -> None:
        self.opener().open(self.first, 0.0, NOW_S)

    def drops(self, data: bytes, reason: Drop, most_per_s: float = FREELY) -> Callable[[], None]:
        opener = self.opener(most_per_s)
        opener.open(self.first, 0.0, NOW_S)

        def run() -> None:
            for _ in range(ROUNDS):
                try:
                    opener.open(data, 0.0, NOW_S)
                except EnvelopeError:
                    continue
            assert opener.counts[reason] >= ROUNDS - 4, opener.counts

        return run


def kinds(pki: MeshPki) -> tuple[list[str], float, float]:
    """Rows, and of P-256 what verifying and judging a certificate cost, µs."""
    lines = []
    verify_us = judge_us = 0.0
    for kind in KINDS:
        subject = Subject(pki, kind, 6)
        data, key = b"v" * len(subject.others[0]), subject.identity.key.public_key()
        signature = subject.identity.sign(data)
        figures = {
            "sign": best(repeated(lambda: subject.identity.sign(data))),  # noqa: B023
            "seal": best(repeated(lambda: subject.seal(False))),  # noqa: B023
            "verify": best(repeated(lambda: verify(key, signature, data))),  # noqa: B023
            "open": best(subject.open_all, rounds=ROUNDS + 1),
            "first": best(repeated(subject.open_first)),
        }
        cells = [kind, *(f"{value:.0f}" for value in figures.values())]
        around = f"{figures['seal'] - figures['sign']:.0f} and {figures['open'] - figures['verify']:.0f}"
        lines.append(f"| {' | '.join([*cells, around])} |")
        if kind == "P-256":
            verify_us, judge_us = figures["open"], figures["first"] - figures["open"]
    return lines, verify_us, judge_us


def sizes(pki: MeshPki) -> tuple[list[str], dict[int, tuple[float, float]]]:
    lines = []
    costs = {}
    for members in MEMBERS:
        subject = Subject(pki, "P-256", members)
        seal_us, open_us = best(repeated(lambda: subject.seal(False))), best(subject.open_all, rounds=ROUNDS + 1)  # noqa: B023
        plain, first = len(subject.others[0]), len(subject.first)
        mean = plain + (first - plain) * PERIOD_S / CERTIFICATE_EVERY_S
        costs[members] = open_us, mean
        figures = [members, len(encode(subject.message)), plain, first]
        load = [f"{seal_us:.0f}", f"{open_us:.0f}", f"{(members - 1) * mean / 1e3:.1f}"]
        share = ((members - 1) * open_us + seal_us) / 1e4
        lines.append(f"| {' | '.join([*map(str, figures), *load, f'{share:.2f}'])} |")
    return lines, costs


def drops(pki: MeshPki) -> list[str]:
    subject = Subject(pki, "P-256", 6)
    other = MeshPki(pki.folder / "other", NOW_S).identity("transformer-001")
    stranger = Sealer("grid-7/flat", pki.identity("stranger"), BOOT_US)
    network = Sealer("grid-8/flat", subject.identity, BOOT_US)
    forged = damaged(subject.others[0])
    renewed = Sealer("grid-7/flat", pki.identity("transformer-001"), BOOT_US)

    def sealed(sealer: Sealer) -> bytes:
        return sealer.seal(Ping(to="a", token=1), NOW_S, 3.0, with_certificate=True)[1]

    cases = {
        "flood": subject.drops(subject.first, Drop.FLOOD, 1.0),
        "no envelope": subject.drops(bytes(300), Drop.MALFORMED),
        "65,536 bytes of it": subject.drops(b"\x91" * 65_536, Drop.MALFORMED),
        "another network": subject.drops(sealed(network), Drop.FOREIGN),
        "no member": subject.drops(sealed(stranger), Drop.NOT_A_MEMBER),
        "another authority, after the first": subject.drops(
            sealed(Sealer("grid-7/flat", other, BOOT_US)), Drop.UNTRUSTED
        ),
        "forged": subject.drops(forged, Drop.UNSIGNED),
        "forged, with a certificate that is not in use": subject.drops(damaged(sealed(renewed)), Drop.FLOOD),
        "replayed": subject.drops(subject.first, Drop.REPLAYED),
    }
    return [f"| {name} | {best(run):.1f} |" for name, run in cases.items()]


def damaged(envelope: bytes) -> bytes:
    return envelope[:-1] + bytes([envelope[-1] ^ 1])


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        pki = MeshPki(Path(folder), NOW_S)
        by_size, costs = sizes(pki)
        by_kind, verify_us, judge_us = kinds(pki)
        forged = 99 * (MOST_PER_S * verify_us + JUDGED_PER_S * judge_us) / 1e4
        open_us, mean_bytes = costs[100]
        text = [
            "# Envelopes of the mesh: microseconds and bytes",
            "",
            f"`python tests/bench/bench_mesh_envelope.py`, Python {platform.python_version()}, {platform.machine()}, "
            f"{os.cpu_count()} cores, others working on them; CPU time of the quickest of {SERIES} series of {ROUNDS}.",
            "",
            "## By kind of key",
            "",
            "A state among 6 members, µs. *first*: with the certificate, which is judged then and once a minute after.",
            "*around*: what sealing and opening cost beside the signature. The authority's key is P-256.",
            "",
            "| key | sign | seal | verify | open | first | around |",
            "|---|---|---|---|---|---|---|",
            *by_kind,
            "",
            "## By number of members",
            "",
            "P-256, names of 15 letters. A node hears the states of all others once a second, with the certificate",
            "every fifth time: *kB/s* and *% of a core* are for that, in one direction and without what the wire adds.",
            "512 are the most that a mesh may have; above about 100 it is to be made of regions.",
            "",
            "| members | state, bytes | envelope | with certificate | seal µs | open µs | kB/s heard | % of a core |",
            "|---|---|---|---|---|---|---|---|",
            *by_size,
            "",
            f"Among 100 members a state told on change as well, at most five times a second by everybody, costs "
            f"{99 * 5 * open_us / 1e4:.1f} % of a core and {99 * 5 * mean_bytes / 1e3:.0f} kB/s.",
            "",
            "## What is dropped",
            "",
            f"µs until it is dropped. What comes faster than {MOST_PER_S:g} a second by one sender, after {BURST:g} at "
            "once, costs what",
            f"*flood* does. {JUDGED_PER_S:g} certificate a second that is not in use is judged of each sender.",
            f"So whoever forges in the name of 99 members makes a node work for {forged:.0f} % of a core at most.",
            "",
            "| envelope | µs |",
            "|---|---|",
            *drops(pki),
        ]
    REPORT.write_text("\n".join(text) + "\n")
    print("\n".join(text))


if __name__ == "__main__":
    main()
