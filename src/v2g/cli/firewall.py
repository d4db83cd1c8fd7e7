"""``v2g-tool firewall``: who may reach this host, made from the configuration, put in force with a way back."""

from __future__ import annotations

import contextlib
import datetime
import os
import sys
from pathlib import Path

import click
import msgspec

from v2g.cli.common import fail, parsed, print_json, say
from v2g.cli.firewall_context import (
    NAME,
    Site,
    control_sock,
    noter,
    refusals,
    required_site,
    site,
    state_of,
    transactions,
    who,
)
from v2g.cli.firewall_words import Status, changes, check_json, check_text, status_text
from v2g.clock import SystemClock
from v2g.config.firewall_plan import plan_remarks
from v2g.config.loader import load
from v2g.config.problems import ConfigError
from v2g.control.client import DEFAULT_SOCKET
from v2g.host.firewall import admission, judgement, kernel, sockets
from v2g.host.firewall.model import Features
from v2g.host.firewall.nft import FirewallError, Nft
from v2g.host.firewall.render import render as draw
from v2g.host.firewall.session import login, may_come_back, ssh_peer
from v2g.host.firewall.state import Applied, Confirmed, Pending, StateDir, place
from v2g.host.firewall.transaction import Transactions
from v2g.host.firewall.watcher import READY, watch
from v2g.units import format_duration, parse_duration_s

_LEAST_CONFIRM_S, _MOST_CONFIRM_S = 5.0, 3600.0


def render(config_dir: Path) -> None:
    """Print the rules that the configuration makes, as nft -f takes them; nothing is changed."""
    click.echo(draw(required_site(config_dir).plan), nl=False)


def apply(within: str, no_confirm: bool, boot: bool, config_dir: Path) -> None:
    """Put the rules in force, in one step; connections that are open stay open."""
    if no_confirm and boot:
        raise click.UsageError("give --no-confirm or --boot, not both")
    within_s = parsed(parse_duration_s, within)
    if not _LEAST_CONFIRM_S <= within_s <= _MOST_CONFIRM_S:
        raise click.UsageError(f"--confirm-within is 5s to 1h, not {within}")
    if boot:
        _boot(config_dir)
        return
    found = required_site(config_dir)
    _reachable(found, no_confirm)
    with refusals():
        done = transactions(found.state, control_sock(found.loaded)).apply(
            lambda features: draw(found.plan, features), None if no_confirm else within_s, login(os.getpid()), who()
        )
    for text in done.applied.lacking:
        click.echo(f"{NAME}: the kernel lacks {text}", err=True)
    for text in plan_remarks(found.loaded):
        click.echo(f"note: {text}")
    if done.admitted:
        click.echo(f"{done.admitted} admitted vehicle{'s' if done.admitted > 1 else ''} kept where the links are")
    if done.pending is None:
        click.echo("the rules are in force")
    else:
        click.echo(
            f"the rules are in force, for {format_duration(within_s)} ({done.watcher} watches). Open a NEW connection "
            "and run there: v2g-tool firewall confirm"
        )


def confirm(config_dir: Path) -> None:
    """The rules that were applied hold, and are put in force at each boot. Give it over a new connection."""
    with refusals():
        _transactions(config_dir).confirm(login(os.getpid()), who())
    click.echo("confirmed: the rules hold")


def rollback(config_dir: Path) -> None:
    """Put the rules from before in force at once, instead of waiting for it."""
    with refusals():
        if not _transactions(config_dir).roll_back(f"{who()}: asked for"):
            raise FirewallError("there is nothing to roll back: no rules are pending")
    click.echo("the rules from before are in force again")


def show_status(as_json: bool, config_dir: Path) -> None:
    """Applied or not, what differs, what each rule has counted, admitted vehicles, a rollback that is pending."""
    with refusals():
        found = status_of(config_dir)
    if as_json:
        print_json({"sound": found.sound, **msgspec.to_builtins(found)})
    else:
        say(status_text(found, _iso(found.applied_at_unix_s)))
    sys.exit(0 if found.sound else 1)


def check(as_json: bool, config_dir: Path) -> None:
    """Open ports of this host that no rule explains, and rules for ports at which nobody listens."""
    plan = required_site(config_dir).plan
    open_ones = sockets.listeners()
    judged = judgement.judge(plan, open_ones, sockets.ephemeral_ports())
    idle_rules = judgement.idle(plan, open_ones)
    if as_json:
        print_json(check_json(judged, idle_rules))
    else:
        say(check_text(judged, idle_rules))
    sys.exit(1 if any(one.finding is judgement.Finding.UNEXPLAINED for one in judged) else 0)


def admit(interface: str, mac: str, for_: str | None, config_dir: Path) -> None:
    """Let a vehicle reach the EVSEs of a PLC link for a time; again: its time begins anew."""
    for_s = parsed(parse_duration_s, for_) if for_ is not None else None
    found = required_site(config_dir)
    plan = found.plan
    for_s = for_s if for_s is not None else float(plan.admit_s)
    with refusals():
        left = admission.admit(Nft(), found.state.locked(), plan.plc_sets, interface, mac, for_s)
    noter(control_sock(found.loaded))("FIREWALL_ADMITTED", f"{who()} {mac} {interface} {format_duration(for_s)}")
    gone = f"; it has left {', '.join(left)}" if left else ""
    click.echo(f"{mac} is admitted to {interface} for {format_duration(for_s)}{gone}")


def withdraw(interface: str, mac: str, config_dir: Path) -> None:
    """Take a vehicle from a PLC link: it opens no further connection; what it has open goes on."""
    found = required_site(config_dir)
    with refusals():
        was = admission.withdraw(Nft(), found.state.locked(), found.plan.plc_sets, interface, mac)
    noter(control_sock(found.loaded))("FIREWALL_WITHDRAWN", f"{who()} {mac} {interface}")
    click.echo(f"{mac} is {'no longer' if was else 'not'} admitted to {interface}")


def watch_rollback(state_path: Path, pending_id: str, deadline: float, ready: int | None) -> None:
    """Roll back at the deadline unless it was confirmed: started by apply."""
    state = StateDir(state_path)
    try:
        at_work = transactions(state, DEFAULT_SOCKET)
        if ready is not None:
            os.write(ready, READY)
            os.close(ready)
        watch(at_work, state, pending_id, deadline, SystemClock())
    except FirewallError as error:
        noter(DEFAULT_SOCKET)("FIREWALL_ROLLBACK_FAILED", str(error))
        sys.exit(1)


def _boot(config_dir: Path) -> None:
    """What was confirmed, even where the configuration has changed or cannot be used: nobody is there to roll back."""
    try:
        found: Site | None = site(config_dir)
        state = found.state if found is not None else state_of(config_dir)
    except ConfigError as error:
        click.echo(f"{NAME}: the configuration cannot be used: {error}", err=True)
        found, state = None, state_of(config_dir)
    with refusals():
        state.prepare()
        confirmed = state.read(Confirmed)
        if confirmed is None and found is None:
            raise FirewallError("nothing was ever confirmed, and the configuration makes no rules: none are in force")
        if confirmed is None:
            assert found is not None  # noqa: S101 (just looked at)
            _reachable(found, no_confirm=True)
        at_work = transactions(state, None)
        text = confirmed.text if confirmed is not None else ""
        if text:
            try:
                at_work.apply(lambda features: text, None, None, "boot, what was confirmed last:", boot=True)
            except FirewallError as error:
                if found is None:
                    raise
                click.echo(f"{NAME}: what was confirmed is not taken any more ({error}); made anew", err=True)
                text = ""
        if not text and found is not None:
            plan = found.plan
            at_work.apply(lambda features: draw(plan, features), None, None, "boot, from the configuration:", boot=True)
    click.echo("the rules are in force" + (", as they were confirmed last" if text else ", from the configuration"))


def _reachable(found: Site, no_confirm: bool) -> None:
    """Refuses rules that let nobody in without having been told so; warns who would lock himself out."""
    section = found.loaded.config.firewall
    if not section.operators and not section.utility and not section.local_only:
        fail(
            NAME,
            "these rules let nobody reach this host: name firewall.operators or firewall.utility; where people only "
            "ever work at its console, write firewall.local_only: true",
            1,
        )
    peer = ssh_peer(os.getpid())
    if peer is None or may_come_back(found.plan, peer):
        return
    words = (
        f"you came from {peer.address} to port {peer.port}, and no rule surely lets in a new connection from there "
        "(one with an interface may not be yours)"
    )
    if no_confirm:
        fail(NAME, f"{words}: add it to firewall.operators, or apply without --no-confirm", 1)
    click.echo(f"{NAME}: {words}; this one goes on, and the old rules come back unless confirmed", err=True)


def status_of(config_dir: Path) -> Status:
    """What ``status`` tells. Raises :class:`FirewallError`, :class:`WordError`."""
    try:
        found: Site | None = site(config_dir)
    except ConfigError:
        found = None
    state = state_of(config_dir) if found is None else found.state
    nft, here, clock = Nft(), place(), SystemClock()
    there = nft.table()
    applied = state.read(Applied)
    if applied is not None and applied.place != here:
        applied = None
    pending = state.read(Pending)
    if pending is not None and pending.place != here:
        pending = None
    differences: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    if not there:
        in_force = "not applied"
    elif applied is None:
        in_force = "not ours"
    else:
        differences = kernel.differences(applied.shape, kernel.shape(there))
        in_force = "changed" if differences else "as applied"
    if found is None:
        configuration = "unusable"
    else:
        features = applied.features if applied is not None else Features()
        changed = changes(applied.text, draw(found.plan, features)) if applied is not None and there else ()
        configuration = "changed" if changed else "same"
    return Status(
        in_force=in_force,
        configuration=configuration,
        applied_at_unix_s=applied.at_unix_s if applied is not None and there else None,
        differences=differences,
        changes=changed,
        lacking=applied.lacking if applied is not None and there else (),
        remarks=plan_remarks(found.loaded) if found is not None else (),
        pending_s=max(0.0, pending.deadline_s - clock.monotonic_s()) if pending is not None else None,
        counters=kernel.counters(there),
        admitted=kernel.admitted(there),
        interfaces={name: interface for interface, name in found.plan.plc_sets.items()} if found is not None else {},
    )


def _transactions(config_dir: Path) -> Transactions:
    sock = None
    with contextlib.suppress(ConfigError):
        sock = control_sock(load(config_dir))
    return transactions(state_of(config_dir), sock)


def _iso(unix_s: float | None) -> str:
    return "" if unix_s is None else datetime.datetime.fromtimestamp(unix_s, datetime.UTC).isoformat(timespec="seconds")
