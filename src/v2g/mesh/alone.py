"""What a member may take that hears nobody and tells nobody: all others count with the worst of their ratings. Pure."""

from __future__ import annotations

from math import inf

from v2g.mesh.roster import Roster


def alone_w(roster: Roster, member: str, reserve_pu: float) -> tuple[float, float]:
    """(import, export) of its flow, W; below 0 where the others alone may exceed a limit, inf where there is none."""
    import_w = export_w = inf
    for name in roster.path(member):
        group = roster.groups[name]
        others = [roster.members[other] for other in roster.below[name] if other != member]
        limits_w = group.uncapped_w
        import_w = min(import_w, limits_w[0] * (1.0 - reserve_pu) - sum(other.import_w for other in others))
        export_w = min(export_w, limits_w[1] * (1.0 - reserve_pu) - sum(other.export_w for other in others))
    return import_w, export_w
