"""The mesh beside the control cycle: what our node is told, what it leaves to the vehicles here, what people see."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from math import isfinite
from typing import Any, Final

from v2g import __version__
from v2g.clock import Clock
from v2g.config.paths import mesh_paths, run_paths
from v2g.config.schema import Config
from v2g.config.schema_mesh import Mesh
from v2g.control.messages_mesh import MeshLinkLine, MeshResult, MeshWireLine
from v2g.control.server import Method, Refused
from v2g.dispatch.constraints import Bound
from v2g.mesh.alone import alone_w
from v2g.mesh.gateway import Role
from v2g.mesh.identity import IdentityError, load_identity, load_trust
from v2g.mesh.messages import Cap
from v2g.mesh.meters import read_meters
from v2g.mesh.node import Facts, Verdict
from v2g.mesh.runner import MeshRunner
from v2g.mesh.settings import Credentials, halves, region_roster
from v2g.mesh.tables import group_lines, member_lines, ordered_islands
from v2g.orchestrator.mesh_absent import NOT_ENTITLED
from v2g.orchestrator.mesh_api import MeshApi
from v2g.orchestrator.mesh_caps import CapStore
from v2g.orchestrator.mesh_facts import facts_of, mesh_bounds
from v2g.orchestrator.site import Site
from v2g.pki.crl_files import CrlFiles
from v2g.pki.store import mesh_in_force
from v2g.sessions.supervisor import Log

_JOINING: Final = "the mesh is being joined"
_NOTHING_KNOWN: Final = Facts(flow_w=None, base_w=None)
_BOUND_S: Final = 1.0
_LOOK_EVERY_S: Final = 10.0
_PING_EVERY_S: Final = 0.1
_METERS_EVERY_S: Final = 0.5


class MeshLink:
    """Of one daemon, by its section ``mesh``. ``log``: the one of communication."""

    def __init__(self, config: Config, mesh: Mesh, site: Site, clock: Clock, log: Log) -> None:
        self._config = config
        self._mesh = mesh
        self._site = site
        self._clock = clock
        self._log = log
        self._runner: MeshRunner | None = None
        self._problem = "starting"
        self._keeping: asyncio.Task[None] | None = None
        self._crls: CrlFiles | None = None
        self._measured_w: Mapping[str, float] = {}
        self._metered_at_s = -_METERS_EVERY_S
        self._caps = CapStore(run_paths(config).state_dir / "mesh_caps.json")
        self._api = MeshApi(self)
        site.mesh = self
        self._alone_w = alone_w(region_roster(mesh), mesh.node, mesh.reserve_pu)

    @property
    def loss(self) -> float | None:
        """Share 0..1 of the members' messages of the last minute that were lost; None: there is nobody else.

        1 while nobody of the others is heard: who is gone leaves no gaps in what comes.
        """
        if self._runner is None:
            return 1.0
        node, now_s = self._runner.node, self._clock.monotonic_s()
        if any(heard.fresh(now_s) for heard in node.book.all_heard()):
            return node.watch.loss
        return 1.0 if len(node.roster.members) > 1 else None

    def methods(self) -> tuple[Method[Any], ...]:
        return self._api.methods()

    async def start(self, stack: AsyncExitStack) -> None:
        """Join, as soon as it can be; ``stack`` leaves. Certificates that cannot be used keep us out, and no more: they
        are looked at again."""
        self._begin()
        stack.push_async_callback(self._leave)

    async def rejoin(self) -> None:
        """Certificate, key, authority and revocations anew, as they are now."""
        if self._keeping is not None:
            await self._leave()
            self._begin()

    def _begin(self) -> None:
        self._keeping = asyncio.get_running_loop().create_task(self._keep(), name="mesh joins")

    async def _keep(self) -> None:
        while True:
            try:
                await self._join()
                break
            except IdentityError as error:
                if str(error) != self._problem:
                    self._problem = str(error)
                    self._log.error("MESH_DOWN", f"{error}; nobody is heard, and each counts with its rating")
            await asyncio.sleep(_LOOK_EVERY_S)
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            await self._look_at_revocations()

    async def _join(self) -> None:
        mesh = self._mesh
        paths = mesh_in_force(mesh_paths(self._config))
        trust = await asyncio.to_thread(load_trust, paths.ca, paths.crl_dir)
        identity = load_identity(paths.chain, paths.key, trust, mesh.node, self._clock.unix_s())
        own, north = halves(mesh, paths, Credentials(identity=identity, trust=trust), self._clock, __version__)
        runner = MeshRunner(own, north, self._clock, self._log)
        if mesh.node in runner.node.roster.heads:
            for cap, until_s in self._caps.load(self._clock.unix_s()).values():
                if cap.group in runner.node.roster.groups:
                    runner.node.set_cap(cap, until_s)
        await runner.start()
        self._crls = CrlFiles(paths.crl_dir)
        self._crls.load()
        self._runner, self._problem = runner, ""

    async def _look_at_revocations(self) -> None:
        """A list that was put there, or fetched, is in force within some seconds."""
        if self._runner is None or self._crls is None or not (await asyncio.to_thread(self._crls.load))[1]:
            return
        paths = mesh_in_force(mesh_paths(self._config))
        try:
            trust = await asyncio.to_thread(load_trust, paths.ca, paths.crl_dir)
        except IdentityError as error:
            self._log.warning("MESH_DOWN", f"{error}; revocations are as they were")
            return
        self._runner.trust_anew(trust)

    async def _leave(self) -> None:
        keeping, self._keeping = self._keeping, None
        if keeping is not None:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.close()

    def on_cycle(self, now_s: float) -> None:
        """After each cycle: tell our node what is, send what it has to say."""
        if self._runner is None:
            return
        image, decision = self._site.image, self._site.decision
        known = image is not None and decision is not None and now_s - image.now_s < _BOUND_S
        facts = facts_of(image, decision) if known and image is not None and decision is not None else _NOTHING_KNOWN
        if self._mesh.meters and now_s - self._metered_at_s >= _METERS_EVERY_S:
            self._metered_at_s = now_s
            self._measured_w = read_meters(self._mesh.meters, self._clock.unix_s)
        self._runner.step(facts, self._measured_w)

    def bounds(self, base_load_w: float | None, now_s: float) -> tuple[Bound, ...]:
        verdict = self._runner.verdict() if self._runner is not None else self._alone(now_s)
        return mesh_bounds(verdict, base_load_w)

    def _alone(self, now_s: float) -> Verdict:
        """Not joined: everybody counts with its rating."""
        import_w, export_w = self._alone_w
        return Verdict(
            import_w=import_w,
            export_w=export_w,
            import_by="not joined",
            export_by="not joined",
            expires_at_s=now_s + _BOUND_S,
        )

    def problems(self) -> tuple[str, ...]:
        """For the status."""
        problem = self._problem or (self._runner.problem if self._runner is not None else "")
        return tuple(filter(None, (problem, self._caps.problem)))

    # ---- for people ----

    def result(self) -> MeshResult:
        if self._runner is None:
            return MeshResult(problem=self._problem or _JOINING)
        now_s = self._clock.monotonic_s()
        runner, node = self._runner, self._runner.node
        verdict = node.verdict(now_s)
        links = runner.links()
        members = member_lines(node, links, now_s)
        trips_ms = {line.voice: line.round_trip_ms for line in members}
        engine = runner.engine
        drops_by_sender = node.opener.drops_by_sender()
        for sender, count in sorted(node.watch.refusals.items()):
            drops_by_sender.setdefault(sender, {})[NOT_ENTITLED] = count
        drops = {reason.value: count for reason, count in sorted(node.opener.counts.items())}
        if node.watch.refusals:
            drops[NOT_ENTITLED] = node.watch.refusals.total()
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
            groups=group_lines(node, now_s, self._clock.unix_s()),
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
            drops=drops,
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
        if configured is None:
            words = f"there is no group {group!r}; there are {', '.join(node.roster.groups)}"
            raise Refused(words, code="UNKNOWN_GROUP")
        limits_w = configured.import_w, configured.export_w
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
        self._caps.save(node.asked_caps)

    def uncap(self, group: str) -> None:
        """Raises :class:`v2g.control.server.Refused`."""
        node = self._joined().node
        if not node.clear_cap(group):
            raise Refused(f"we cap no group {group!r}", code="NO_CAP")
        self._caps.save(node.asked_caps)

    def _joined(self) -> MeshRunner:
        if self._runner is None:
            raise Refused(self._problem or _JOINING, code="NO_MESH")
        return self._runner


def _limit(value_w: float) -> float | None:
    return value_w if isfinite(value_w) else None if value_w > 0 else 0.0
