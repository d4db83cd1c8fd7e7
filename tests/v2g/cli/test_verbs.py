from __future__ import annotations

import pytest

from v2g.cli.verbs import normalise

VERBS = ("dispatch", "status", "trip")


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("dispatch --mode=idle", "dispatch --mode=idle"),
        ("--dispatch --mode=idle", "dispatch --mode=idle"),
        ("–dispatch –mode=idle", "dispatch --mode=idle"),
        ("—dispatch —mode=idle", "dispatch --mode=idle"),
        ("––dispatch ––mode=idle", "dispatch --mode=idle"),
        ("–-dispatch --mode idle", "dispatch --mode idle"),
        ("−−dispatch ‑‑mode=idle", "dispatch --mode=idle"),
        ("--mode=idle --dispatch", "dispatch --mode=idle"),
        ("--mode=discharge --power=10kW —dispatch --json", "dispatch --mode=discharge --power=10kW --json"),
        ("--trip reset", "trip reset"),
        ("status –h", "status -h"),
        ("–version", "--version"),
        ("status --dispatch", "status --dispatch"),
        ("--status=30", "status 30"),
        ("–status=30% --json", "status 30% --json"),
        ("--nonsense", "--nonsense"),
        ("--nonsense=status", "--nonsense=status"),
        ("-", "-"),
        ("dispatch – x", "dispatch – x"),
        ("dispatch -- –dispatch --status", "dispatch -- –dispatch --status"),
        ("dispatch --evse US*V2G*E1–2", "dispatch --evse US*V2G*E1–2"),
        ("", ""),
    ],
)
def test_the_manuals_spellings_are_read(typed: str, read: str) -> None:
    assert normalise(typed.split(), VERBS) == read.split()
