from __future__ import annotations

from typing import Any

import pytest

from v2g.control.server import Caller, Refused, Role
from v2g.orchestrator.acknowledgement import acknowledged, cleaned

BEN = Caller(uid=1000, gid=1000, pid=1, user="ben", role=Role.ENGINEER)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("Anna Kranz", "Anna Kranz"),
        ("  Anna \n Kranz\x1b ", "Anna Kranz"),
        ("Åse Þórsdóttir", "Åse Þórsdóttir"),
        ("A" * 200, "A" * 80),
        ("", ""),
        ("   ", ""),
        ("A", ""),
        ("12 34", ""),
        ("\x00\x01\x02", ""),
    ],
)
def test_a_name_is_printable_and_has_letters(given: str, kept: str) -> None:
    assert cleaned(given) == kept


def test_it_is_recorded_with_command_user_and_name_or_refused() -> None:
    told: list[tuple[str, dict[str, Any]]] = []

    def audit(code: str, message: str, **fields: Any) -> None:
        told.append((code, fields))

    assert acknowledged(" Anna  Kranz", "v2g-tool test-relay", BEN, audit) == "Anna Kranz"
    fields = {"command": "v2g-tool test-relay", "user": "ben", "acknowledged_by": "Anna Kranz"}
    assert told == [("ACKNOWLEDGED", fields)]
    with pytest.raises(Refused, match="--acknowledge NAME") as refused:
        acknowledged(" ", "v2g-tool test-relay", BEN, audit)
    assert refused.value.code == "NOT_ACKNOWLEDGED"
    assert len(told) == 1
