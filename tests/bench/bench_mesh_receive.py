"""Times what a node of the mesh does with a state that comes, beside its signature; and a step of its own.

    python tests/bench/bench_mesh_receive.py

Writes ``report_mesh_receive.md`` beside this file. Times are CPU time of the quickest series.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from functools import partial
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import msgspec

from support.cpu_time import best_us
from support.cpu_time import repeated as in_rounds
from support.mesh_nodes import NETWORK, SETTINGS, UNIX_S, Nodes, authority, feeder, identity, trust
from v2g.mesh import envelope as module
from v2g.mesh.envelope import Opener, Sealer
from v2g.mesh.messages import Flexible, Range, Seen, State, decode
from v2g.mesh.node import Facts, MeshNode
from v2g.mesh.trust import verify

REPORT = Path(__file__).with_name("report_mesh_receive.md")
SERIES = 15
ROUNDS = 300
MEMBERS = (6, 100)
BOOT_US = 1_790_000_000_000_000
FREELY = 1e9


best = partial(best_us, rounds=ROUNDS, series=SERIES)
repeated = partial(in_rounds, rounds=ROUNDS)


def said(names: list[str]) -> State:
    pair = Range(-41_250.5, 187_333.25)
    return State(
        member=names[1], flow_w=98_761.5, base_w=61_042.25, floor=pair, wish=pair, claim=pair, ask=pair,
        capability=pair, ahead=pair, top_oil_c=61.37, hot_spot_c=77.52,
        flexible=Flexible(vehicles=14, needed_wh=211_500.0, surplus_wh=80_250.0),
        seen={name: Seen(BOOT_US + number, 137) for number, name in enumerate(names) if number != 1},
        links=(names[0], names[2]), version="0.1.0",
    )  # fmt: skip


def receiving(count: int) -> dict[str, float]:
    names = [f"transformer-{number:03}" for number in range(count)]
    roster, voices = feeder(*names, limit_w=count * 60e3), frozenset(names)
    sealer = Sealer(NETWORK, identity(names[1]), BOOT_US)
    state = said(names)
    envelopes = [sealer.seal(state, UNIX_S, 3.0, with_certificate=number == 0)[1] for number in range(ROUNDS)]

    def opener() -> Opener:
        return Opener(NETWORK, trust(), voices, most_per_s=FREELY, burst=FREELY)

    def node() -> MeshNode:
        made = MeshNode(roster, names[0], names[0], Sealer(NETWORK, identity(names[0]), BOOT_US), opener(), SETTINGS)
        for number in range(512):
            made.book.sent(BOOT_US + number - 500, 0.0)
        return made

    def receive_all() -> None:
        receiver = node()
        for data in envelopes:
            receiver.receive("v2g/grid-7/flat/state/x", data, 0.0, UNIX_S)
        assert receiver.opener.opened == ROUNDS

    def made_only() -> None:
        node()

    def open_all() -> None:
        receiver = opener()
        for data in envelopes:
            receiver.open(data, 0.0, UNIX_S)

    plain = envelopes[5]
    body_bytes, signature = msgspec.msgpack.decode(plain)
    body = module._bodies.decode(body_bytes)
    key, signed = identity(names[1]).key.public_key(), module._PREFIX + body_bytes
    reader = node()
    # The first brings a certificate, which is judged; and the node has to be made.
    setup_us = best(made_only, rounds=1) / ROUNDS
    judged_us = best(repeated(lambda: trust().judge(identity(names[1]).certificate_der, names[1], UNIX_S))) / ROUNDS
    return {
        "receive": best(receive_all) - setup_us - judged_us,
        "open": best(open_all) - judged_us,
        "verify": best(repeated(lambda: verify(key, signature, signed))),
        "two decodes": best(
            repeated(lambda: module._bodies.decode(module._envelopes.decode(plain).body)),
        ),
        "message": best(repeated(lambda: decode(body.message))),
        "book": best(repeated(lambda: reader.book.take_state(names[1], state, 1, 0, 3.0, 0.0))),
    }


def stepping(count: int) -> tuple[float, float]:
    """Mean CPU time of a step at ten a second, all others telling once a second; and of these, all that step."""
    names = [f"transformer-{number:03}" for number in range(count)]
    nodes = Nodes(feeder(*names, limit_w=count * 60e3), (names[0],))
    nodes.facts[names[0]] = Facts(flow_w=10e3, base_w=10e3, want_hi_w=90e3)
    sealers = {name: Sealer(NETWORK, identity(name), BOOT_US) for name in names[1:]}
    node, spent_s, steps = nodes[names[0]], 0.0, 0
    state = said(names)
    for tick in range(100):
        nodes.now_s += 0.1
        for number, (name, sealer) in enumerate(sealers.items()):
            if number % 10 == tick % 10:
                told = msgspec.structs.replace(state, member=name)
                _, data = sealer.seal(told, nodes.unix_s(), 3.0, with_certificate=tick < 10)
                node.receive(f"v2g/grid-7/flat/state/{name}", data, nodes.now_s, nodes.unix_s())
        start = time.process_time()
        node.step(nodes.facts[names[0]], (), nodes.now_s, nodes.unix_s())
        if tick >= 20:
            spent_s, steps = spent_s + time.process_time() - start, steps + 1
    assert len(node.book.all_heard()) == count - 1
    return spent_s / steps * 1e6, spent_s / steps * 10 * 100


def main() -> None:
    authority()
    by_count = {count: receiving(count) for count in MEMBERS}
    rows = []
    for count, found in by_count.items():
        rest = found["open"] - found["verify"] - found["two decodes"] - found["message"]
        cells = [
            *(found["receive"], found["verify"], found["receive"] - found["verify"], found["two decodes"]),
            *(found["message"], rest, found["book"], found["receive"] - found["open"] - found["book"]),
        ]
        rows.append(f"| {count} | {' | '.join(f'{cell:.1f}' for cell in cells)} |")
    steps = [(count, *stepping(count)) for count in MEMBERS]
    text = [
        "# A node of the mesh: microseconds for a state that comes",
        "",
        f"`python tests/bench/bench_mesh_receive.py`, Python {platform.python_version()}, {platform.machine()}, "
        f"{os.cpu_count()} cores, others working on them; CPU time of the quickest of {SERIES} series of {ROUNDS}. "
        "P-256.",
        "",
        "*beside it*: all but the signature. Its parts: the decoders of envelope and body; that of the message, most",
        "of which is its `seen`, one for each member; checks of sender, rate, time and sequence; the book; the rest.",
        "",
        "| members | receive | signature | beside it | envelope, body | message | checks | book | the rest |",
        "|---|---|---|---|---|---|---|---|---|",
        *rows,
        "",
        "A step, ten a second, while all others tell their state once a second: balancing, watching, telling.",
        "",
        "| members | step, µs | % of a core |",
        "|---|---|---|",
        *(f"| {count} | {step_us:.0f} | {share:.2f} |" for count, step_us, share in steps),
    ]
    REPORT.write_text("\n".join(text) + "\n")
    print("\n".join(text))


if __name__ == "__main__":
    main()
