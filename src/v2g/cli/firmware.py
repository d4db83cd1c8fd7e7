"""``v2g-tool firmware``: signed updates into the slot that does not run, and the way back."""

from __future__ import annotations

import datetime
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from v2g.cli.common import parsed, print_json
from v2g.cli.daemons import config_option
from v2g.cli.manners import confirm, yes_option
from v2g.units import parse_duration_s

if TYPE_CHECKING:
    from v2g.cli.firmware_site import Site
    from v2g.host.firmware.bundle import Bundle
    from v2g.host.firmware.manifest import Finding, HostFacts
    from v2g.host.firmware.transaction import Done, Note, Transactions

json_option = click.option("--json", "as_json", is_flag=True, help="As JSON.")
drain_option = click.option(
    "--drain", is_flag=True, help="End running sessions first: power to zero, then paused or ended (sessions.on_stop)."
)
downgrade_option = click.option(
    "--allow-downgrade", is_flag=True, help="Take an older version too, or the one that runs."
)
file_argument = click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))


@click.group()
def firmware() -> None:
    """Update this controller, and go back: a signed bundle is installed beside what runs, proved, then put in place.

    Two slots below firmware.dir hold two versions; the link 'current' leads to the one that runs. A new version that
    does not become well is taken back by itself. What a crash or a loss of power interrupts, apply goes on with, or
    rollback takes back. All that changes something needs root.

    \b
    Examples:
      v2g-tool firmware status
      v2g-tool firmware check v2g-0.2.0.v2gfw
      v2g-tool firmware apply v2g-0.2.0.v2gfw --drain
      v2g-tool firmware rollback

    Exit codes: 0 done. 1 refused, failed or rolled back. 2 not understood.
    """


@firmware.command("status")
@json_option
@config_option
def show_status(as_json: bool, config_dir: Path) -> None:
    """Show which version runs from which slot, and whether an update was interrupted.

    \b
    Examples:
      v2g-tool firmware status
      v2g-tool firmware status --json

    Exit codes: 0 nothing is under way. 1 an update was interrupted, or this is no installation in slots. 2 not
    understood.
    """
    from v2g.cli.firmware_site import refusals, site_to_go_back
    from v2g.host.firmware import steps

    with refusals(as_json):
        slots = site_to_go_back(config_dir).slots
        active, journal, last = slots.active(), slots.journal(), slots.last()
        marks = {slot: slots.mark(slot) for slot in steps.SLOTS}
    if as_json:
        print_json(
            {
                "dir": str(slots.root),
                "active": active,
                "slots": {slot: mark.version if mark is not None else None for slot, mark in marks.items()},
                "under_way": msgspec.to_builtins(journal) if journal is not None else None,
                "last": msgspec.to_builtins(last) if last is not None else None,
            }
        )
    else:
        for slot, mark in marks.items():
            runs = "  <- current" if slot == active else ""
            click.echo(f"slot {slot}  {mark.version if mark is not None else 'empty or not whole'}{runs}")
        if active is None:
            click.echo(f"{slots.current} is not there: this is no installation in slots yet")
        if last is not None:
            reason = f" ({last.reason})" if last.reason else ""
            outcome = last.outcome.replace("_", " ")
            click.echo(
                f"last      {last.origin_version or 'none'} -> {last.version}: {outcome}{reason}, {_at(last.at_unix_s)}"
            )
        if journal is not None:
            click.echo(f"UNDER WAY since {_at(journal.began_unix_s)}: {steps.words(journal)}")
    sys.exit(1 if journal is not None or active is None else 0)


@firmware.command()
@file_argument
@downgrade_option
@json_option
@config_option
def check(file: Path, allow_downgrade: bool, as_json: bool, config_dir: Path) -> None:
    """Verify a bundle without changing anything: signature, every wheel, and whether it fits this host.

    \b
    Examples:
      v2g-tool firmware check v2g-0.2.0.v2gfw
      v2g-tool firmware check v2g-0.2.0.v2gfw --json

    Exit codes: 0 it may be applied. 1 it may not, and why. 2 not understood.
    """
    from v2g.cli.firmware_site import refusals, required_site

    with refusals(as_json):
        bundle, facts, findings = _judged(required_site(config_dir), file, allow_downgrade)
    if as_json:
        print_json(
            {
                "version": bundle.manifest.version,
                "from": facts.version,
                "signed_by": bundle.signer.id,
                "findings": [{"code": each.code, "what": each.what, "remedy": each.remedy} for each in findings],
            }
        )
    else:
        _show(bundle, facts)
        _show_findings(findings)
    sys.exit(1 if findings else 0)


@firmware.command()
@file_argument
@drain_option
@downgrade_option
@yes_option
@json_option
@config_option
def apply(file: Path, drain: bool, allow_downgrade: bool, yes: bool, as_json: bool, config_dir: Path) -> None:
    """Install a bundle into the other slot, try it there, put it in place, and take it back unless it becomes well.

    Refused while sessions are active, unless --drain. Services stand still for some seconds. With an update that was
    interrupted, it goes on where that was.

    \b
    Examples:
      v2g-tool firmware apply v2g-0.2.0.v2gfw
      v2g-tool firmware apply v2g-0.2.0.v2gfw --drain --yes

    Exit codes: 0 the new version runs and is well. 1 refused, or rolled back: what ran before runs. 2 not understood.
    """
    from v2g.cli.firewall_context import who
    from v2g.cli.firmware_daemon import refused_discharge
    from v2g.cli.firmware_progress import shown, unbroken
    from v2g.cli.firmware_site import refusals, required_site, told
    from v2g.host.firmware.errors import FirmwareError

    with refusals(as_json):
        site = required_site(config_dir)
        resumed = site.slots.journal()
        bundle, facts, findings = _judged(site, file, allow_downgrade)
        if findings and (resumed is None or resumed.digest != bundle.digest):
            raise FirmwareError("the bundle is refused:\n" + "\n".join(f"- {each}" for each in findings))
        confirm(f"Update this controller from {facts.version or 'none'} to {bundle.manifest.version}?", yes)
        with unbroken() as broken, shown(bundle.size, broken) as progress, told(site) as note:
            done = _transactions(site, bundle.manifest.version, progress, note).apply(
                bundle, facts.version, drain=drain, who=who()
            )
    text = f"{done.version} runs from slot {done.slot}; before: {done.origin_version or 'none'}"
    _done(done, as_json, "\n".join((text, *refused_discharge(site.control_sock))))


@firmware.command()
@drain_option
@yes_option
@json_option
@config_option
def rollback(drain: bool, yes: bool, as_json: bool, config_dir: Path) -> None:
    """Take back the update that is under way; without one, go back to the version before the last update.

    Databases that the newer version has migrated are put back as they were before it: what was kept since is lost.

    \b
    Examples:
      v2g-tool firmware rollback
      v2g-tool firmware rollback --drain --yes

    Exit codes: 0 the version from before runs. 1 refused or failed. 2 not understood.
    """
    from v2g.cli.firewall_context import who
    from v2g.cli.firmware_progress import shown, unbroken
    from v2g.cli.firmware_site import refusals, site_to_go_back, told

    with refusals(as_json):
        site = site_to_go_back(config_dir)
        confirm("Go back to the version from before?", yes)
        with unbroken() as broken, shown(0, broken) as progress, told(site) as note:
            done = _transactions(site, "the version before", progress, note).roll_back(drain=drain, who=who())
    _done(done, as_json, f"{done.origin_version or 'nothing'} is in place again; {done.version} is not")


@firmware.command()
@click.argument("wheels", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--key",
    "key_file",
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Private key of the maker (PEM, Ed25519 or P-521); its password is asked for.",
)
@click.option("--output", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The bundle.")
@click.option("--min-version", default="0", show_default=True, help="The oldest version that may be updated.")
@click.option("--python", "python", help="As cp311.  [default: of this Python]")
@click.option("--platform", "platform", help="As linux_aarch64.  [default: of this host]")
def pack(
    wheels: Path, key_file: Path, output: Path, min_version: str, python: str | None, platform: str | None
) -> None:
    """Make and sign a bundle, for makers: our wheel and every wheel that it needs, from the folder WHEELS.

    \b
    Examples:
      openssl genpkey -algorithm ed25519 -out maker.key
      openssl pkey -in maker.key -pubout -out maker.pem  # to /etc/v2g/firmware-keys of each controller
      v2g-tool firmware pack wheelhouse --key maker.key --output v2g-0.2.0.v2gfw

    Exit codes: 0 made. 1 refused or failed. 2 not understood.
    """
    from v2g.cli.firmware_pack import pack_folder
    from v2g.cli.firmware_site import refusals

    with refusals():
        manifest, signer = pack_folder(wheels, key_file, output, min_version, python, platform)
    click.echo(
        f"{output}: {manifest.version} for {manifest.python} on {manifest.platform}, {len(manifest.wheels)} wheels"
    )
    click.echo(f"signed by the key {signer}")


@firmware.command(hidden=True)
@click.option("--databases", "folder", required=True, type=click.Path(path_type=Path, file_okay=False))
def probe(folder: Path) -> None:
    """Of a version that is not in place yet: import all of it, and migrate copies of the databases."""
    from v2g import __version__
    from v2g.cli.firmware_pack import import_problems
    from v2g.host.firmware.environment import ProbeResult
    from v2g.orchestrator.databases import try_copies

    problems = (*import_problems(), *try_copies(folder))
    click.echo(msgspec.json.encode(ProbeResult(version=__version__, problems=problems)).decode())


@firmware.command(hidden=True)
@click.option("--expect", required=True)
@click.option("--socket", "sock", required=True, type=click.Path(path_type=Path))
@click.option("--within", default="90s")
@click.option("--steady", default="10s")
def prove(expect: str, sock: Path, within: str, steady: str) -> None:
    """Of a version that was just put in place: wait until its daemon is well, and has stayed so."""
    from v2g.cli.firmware_daemon import prove as prove_it
    from v2g.cli.firmware_site import refusals
    from v2g.clock import SystemClock

    with refusals():
        prove_it(expect, sock, parsed(parse_duration_s, within), parsed(parse_duration_s, steady), SystemClock())


@firmware.command(hidden=True)
@config_option
def boot(config_dir: Path) -> None:
    """Before the services start: take back what was put in place and never proved itself."""
    from v2g.cli.firmware_progress import shown
    from v2g.cli.firmware_site import refusals, site_to_go_back, told

    with refusals():
        site = site_to_go_back(config_dir)
        with shown(0, None) as progress, told(site) as note:
            done = _transactions(site, "boot", progress, note).after_boot()
    if done is not None:
        click.echo(f"{done.version} had not proved itself: {done.origin_version or 'nothing'} is in place again")


def _judged(site: Site, file: Path, allow_downgrade: bool) -> tuple[Bundle, HostFacts, tuple[Finding, ...]]:
    from v2g.cli.manners import progress
    from v2g.clock import SystemClock
    from v2g.host.firmware.bundle import open_bundle, verify_wheels
    from v2g.host.firmware.manifest import judge

    bundle = open_bundle(file, site.settings.trusted_keys, SystemClock().unix_s(), site.owners)
    read = 0
    with progress("verify", bundle.size) as bar:

        def advance(size: int) -> None:
            nonlocal read
            read += size
            bar.to(read)

        verify_wheels(bundle, advance)
    facts = site.facts()
    return bundle, facts, judge(bundle.manifest, facts, allow_downgrade=allow_downgrade)


def _transactions(site: Site, version: str, progress: Any, note: Note) -> Transactions:
    from v2g.cli.firmware_daemon import SystemDaemon
    from v2g.clock import SystemClock
    from v2g.host.firmware.environment import Environment
    from v2g.host.firmware.transaction import Transactions

    # The daemons' users read what is put into a slot, whatever root's own files are like.
    os.umask(0o022)
    return Transactions(
        site.slots,
        SystemDaemon(site, f"firmware update to {version}", progress.say),
        Environment(site.config_dir),
        site.databases,
        SystemClock(),
        progress,
        note,
        keep_backups=site.settings.keep_backups,
    )


def _done(done: Done, as_json: bool, text: str) -> None:
    if as_json:
        print_json(
            {
                "version": done.version,
                "from": done.origin_version,
                "slot": done.slot,
                "resumed": done.resumed,
                "sessions": done.sessions,
                "databases_put_back": done.databases,
            }
        )
        return
    for session in done.sessions:
        click.echo(session)
    for path in done.databases:
        click.echo(f"put back as it was before the update: {path}")
    click.echo(text)


def _show(bundle: Bundle, facts: HostFacts) -> None:
    manifest = bundle.manifest
    click.echo(
        f"{bundle.path}: {manifest.name} {manifest.version}, {len(manifest.wheels)} wheels, {bundle.size >> 20} MiB"
    )
    click.echo(f"signed by {bundle.signer.id[:16]} ({bundle.signer.path}); every wheel is the one that was signed")
    click.echo(f"from {facts.version or 'none'} on {facts.platform}, {facts.python}")


def _show_findings(findings: tuple[Finding, ...]) -> None:
    for each in findings:
        click.echo(f"- {each}")
    click.echo("it may not be applied here" if findings else "it may be applied")


def _at(unix_s: float) -> str:
    return datetime.datetime.fromtimestamp(unix_s, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
