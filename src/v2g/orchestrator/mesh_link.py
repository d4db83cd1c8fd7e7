"""The mesh beside the control cycle: what our node is told, what it leaves to the vehicles here, what people see."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from math import inf, isfinite
from typing import Any, Final

from v2g import __version__
from v2g.clock import Clock
from v2g.config.paths import mesh_paths
from v2g.config.schema import Config
from v2g.control.messages_mesh import MeshLinkLine, MeshResult, MeshWireLine
from v2g.control.server import Method, Refused
from v2g.dispatch.constraints import Bound
from v2g.mesh.gateway import Role
from v2g.mesh.identity import IdentityError, load_identity, load_trust
from v2g.mesh.messages import Cap
from v2g.mesh.node import Facts
from v2g.mesh.runner import MeshRunner
from v2g.mesh.settings import Credentials, halves
from v2g.mesh.tables import group_lines, member_lines, ordered_islands
from v2g.orchestrator.mesh_api import MeshApi
from v2g.orchestrator.mesh_facts import MESH, facts_of, mesh_bounds
from v2g.orchestrator.site import Site
from v2g.sessions.supervisor import Log

NO_MESH: Final = "this controller is in no mesh (mesh: in the configuration)"
_NOTHING_KNOWN: Final = Facts(flow_w=None, base_w=None)
_BOUND_S: Final = 1.0
_PING_EVERY_S: Final = 0.1


class MeshLink:
    """Of one daemon. Without a section ``mesh`` it does nothing. ``log``: the one of communication."""

    def __init__(self, config: Config, site: Site, clock: Clock, log: Log) -> None:
        self._config = config
        self._site = site
        self._clock = clock
        self._log = log
        self._runner: MeshRunner | None = None
        self._problem = "starting"
        self._measured_w: dict[str, float] = {}
        self._api = MeshApi(self)
        if config.mesh is not None:
            site.mesh = self

    @property
    def loss(self) -> float | None:
        """Share 0..1 of the members' messages of the last minute that were lost; None: there is no mesh, or nobody."""
        return self._runner.node.watch.loss if self._runner is not None else None

    @property
    def configured(self) -> bool:
        return self._config.mesh is not None

    def methods(self) -> tuple[Method[Any], ...]:
        return self._api.methods()

    async def start(self, stack: AsyncExitStack) -> None:
        """Join, as soon as it can be; ``stack`` leaves. Certificates that cannot be used keep us out, and no more."""
        mesh = self._config.mesh
        if mesh is None:
            return
        paths = mesh_paths(self._config)
        try:
            trust = load_trust(paths.ca, paths.crl_dir if paths.crl_dir.is_dir() else None)
            identity = load_identity(paths.chain, paths.key, trust, mesh.node, self._clock.unix_s())
        except IdentityError as error:
            self._problem = f"mesh: {error}"
            self._log.error("MESH_DOWN", f"{error}; V2G power is 0 where other members need the room")
            return
        own, north = halves(mesh, paths, Credentials(identity=identity, trust=trust), self._clock, __version__)
        self._runner = MeshRunner(own, north, self._clock, self._log)
        self._problem = ""
        await self._runner.start()
        stack.push_async_callback(self._runner.close)

    def reload_trust(self) -> str | None:
        """Authorities and revocations anew; why not, or None."""
        if self._runner is None or not self.configured:
            return None
        paths = mesh_paths(self._config)
        try:
            trust = load_trust(paths.ca, paths.crl_dir if paths.crl_dir.is_dir() else None)
        except IdentityError as error:
            return str(error)
        self._runner.trust_anew(trust)
        return None

    def on_cycle(self, now_s: float) -> None:
        """After each cycle: tell our node what is, send what it has to say."""
        if self._runner is None:
            return
        image, decision = self._site.image, self._site.decision
        known = image is not None and decision is not None and now_s - image.now_s < _BOUND_S
        facts = facts_of(image, decision) if known and image is not None and decision is not None else _NOTHING_KNOWN
        self._runner.step(facts, self._measured_w)

    def bounds(self, base_load_w: float | None, now_s: float) -> tuple[Bound, ...]:
        if self._runner is None:
            return (Bound(0.0, 0.0, f"{MESH}: {self._problem or 'starting'}", now_s + _BOUND_S),)
        return mesh_bounds(self._runner.verdict(), base_load_w)

    def problems(self) -> tuple[str, ...]:
        """For the status."""
        if not self.configured:
            return ()
        problem = self._problem or (self._runner.problem if self._runner is not None else "")
        return (problem,) if problem else ()

    # ---- for people ----

    def result(self) -> MeshResult:
        if self._runner is None:
            return MeshResult(problem=self._problem if self.configured else NO_MESH)
        now_s = self._clock.monotonic_s()
        runner, node = self._runner, self._runner.node
        verdict = node.verdict(now_s)
        links = runner.links()
        members = member_lines(node, links, now_s)
        trips_ms = {line.voice: line.round_trip_ms for line in members}
        engine = runner.engine
        drops_by_sender: dict[str, dict[str, int]] = {}
        for (sender, reason), count in sorted(node.opener.by_sender.items()):
            drops_by_sender.setdefault(sender, {})[reason.value] = count
        return MeshResult(
            problem=runner.problem,
            network=node.roster.network,
            node=node.voice,
            region=node.roster.region,
            role=runner.role.value if runner.role is not Role.NONE else "",
            import_w=_limit(verdict.import_w),
            export_w=_limit(verdict.export_w),
            import_by=verdict.import_by,
            export_by=verdict.export_by,
            loss_pct=node.watch.loss * 100.0 if node.watch.loss is not None else None,
            members=members,
            groups=group_lines(node, now_s),
            links=tuple(
                MeshLinkLine(
                    node=link.node,
                    address=link.address,
                    up=link.up,
                    since_s=now_s - link.since_s if link.since_s is not None else None,
                    round_trip_ms=trips_ms.get(link.node),
                )
                for link in links
            ),
            islands=ordered_islands(node, links, now_s),
            drops={reason.value: count for reason, count in sorted(node.opener.counts.items())},
            drops_by_sender=drops_by_sender,
            wire=MeshWireLine(
                received=engine.counts.received,
                received_bytes=engine.counts.received_bytes,
                sent=engine.counts.sent,
                sent_bytes=engine.counts.sent_bytes,
                dropped=engine.counts.dropped,
                unsent=engine.counts.unsent,
                states_sent=node.states_sent,
                opened=node.opener.opened,
            )
            if engine is not None
            else None,
            north=member_lines(runner.north, links, now_s) if runner.north is not None else (),
        )

    async def ping(self, node: str, count: int) -> tuple[tuple[float | None, ...], int | None]:
        """Milliseconds of each, None: no answer; and hops. Raises :class:`v2g.control.server.Refused`."""
        runner = self._joined()
        voices = [voice for member in runner.node.roster.members.values() for voice in member.voices]
        if node not in voices:
            raise Refused(f"there is no member {node!r}; there are {', '.join(voices)}", code="UNKNOWN_MEMBER")
        trips = []
        for number in range(count):
            if number:
                # Faster ones would be taken for a flood.
                await asyncio.sleep(_PING_EVERY_S)
            trips.append(await runner.ping(node))
        line = next((each for each in self.result().members if each.voice == node), None)
        found = tuple(trip_s * 1e3 if trip_s is not None else None for trip_s in trips)
        return found, line.hops if line is not None else None

    def cap(self, group: str, import_w: float | None, export_w: float | None, valid_s: float, reason: str) -> None:
        """Raises :class:`v2g.control.server.Refused`."""
        node = self._joined().node
        configured = node.roster.groups.get(group)
        limits_w = (configured.import_w, configured.export_w) if configured is not None else (inf, inf)
        cap = Cap(
            group=group,
            import_w=import_w if import_w is not None else min(limits_w[0], 1e9),
            export_w=export_w if export_w is not None else min(limits_w[1], 1e9),
            reason=reason,
        )
        try:
            node.set_cap(cap, self._clock.unix_s() + valid_s)
        except ValueError as error:
            raise Refused(str(error), code="NOT_A_HEAD") from None

    def uncap(self, group: str) -> None:
        """Raises :class:`v2g.control.server.Refused`."""
        if not self._joined().node.clear_cap(group):
            raise Refused(f"we cap no group {group!r}", code="NO_CAP")

    def _joined(self) -> MeshRunner:
        if self._runner is None:
            raise Refused(self._problem if self.configured else NO_MESH, code="NO_MESH")
        return self._runner


def _limit(value_w: float) -> float | None:
    return value_w if isfinite(value_w) else None if value_w > 0 else 0.0
