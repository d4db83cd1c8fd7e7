"""``v2g-tool firewall``: its options and what it teaches. Its work is loaded when it runs."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from v2g.cli.daemons import config_option


def _work(name: str, options: Mapping[str, Any]) -> None:
    getattr(importlib.import_module("v2g.cli.firewall"), name)(**options)


@click.group()
def firewall() -> None:
    """Who may reach this host: nftables rules, made from the section firewall of /etc/v2g and from its EVSEs.

    Only the table inet v2g is ever touched. All but render need root, none the daemon.

    \b
    Examples:
      v2g-tool firewall render
      v2g-tool firewall apply  # as root; then, from a new connection, within a minute:
      v2g-tool firewall confirm
      v2g-tool firewall status

    Exit codes: 0 done. 1 refused, failed, or (status, check) something is not as it should be. 2 not understood.
    """


@firewall.command()
@config_option
def render(**options: Any) -> None:
    """Print the rules that the configuration makes, as nft -f takes them; nothing is changed.

    \b
    Examples:
      v2g-tool firewall render
      v2g-tool firewall render --config /etc/v2g

    Exit codes: 0 printed. 1 the configuration makes no rules. 2 not understood.
    """
    _work("render", options)


@firewall.command()
@click.option(
    "--confirm-within",
    "within",
    default="60s",
    show_default=True,
    metavar="TIME",
    help="The rules from before come back unless v2g-tool firewall confirm is run in this time.",
)
@click.option("--no-confirm", is_flag=True, help="The rules hold at once: for scripts at the console.")
@click.option(
    "--boot", is_flag=True, help="Put what was confirmed last; never confirmed, what the configuration makes."
)
@config_option
def apply(**options: Any) -> None:
    """Put the rules in force, in one step; connections that are open stay open.

    From a new connection, v2g-tool firewall confirm within the time: who cannot, because the rules lock him out, gets
    the old ones back by waiting, whatever becomes of his shell.

    \b
    Examples:
      v2g-tool firewall apply
      v2g-tool firewall apply --confirm-within 5min
      v2g-tool firewall apply --no-confirm  # at the console

    Exit codes: 0 in force. 1 refused or failed; the rules from before are in force. 2 not understood.
    """
    _work("apply", options)


@firewall.command()
@config_option
def confirm(**options: Any) -> None:
    """The rules that were applied hold, and are put in force at each boot. Give it over a new connection.

    \b
    Examples:
      v2g-tool firewall confirm

    Exit codes: 0 they hold. 1 there is nothing to confirm, or it is too late. 2 not understood.
    """
    _work("confirm", options)


@firewall.command()
@config_option
def rollback(**options: Any) -> None:
    """Put the rules from before in force at once, instead of waiting for it.

    \b
    Examples:
      v2g-tool firewall rollback

    Exit codes: 0 the rules from before are in force. 1 there is nothing to take back, or it failed. 2 not understood.
    """
    _work("rollback", options)


@firewall.command("status")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@config_option
def show_status(**options: Any) -> None:
    """Applied or not, what differs, what each rule has counted, admitted vehicles, a rollback that is pending.

    \b
    Examples:
      v2g-tool firewall status
      v2g-tool firewall status --json

    Exit codes: 0 as it should be. 1 something is not. 2 not understood.
    """
    _work("show_status", options)


@firewall.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@config_option
def check(**options: Any) -> None:
    """Open ports of this host that no rule explains, and rules for ports at which nobody listens.

    \b
    Examples:
      v2g-tool firewall check
      v2g-tool firewall check --json

    Exit codes: 0 all is explained. 1 something is not. 2 not understood.
    """
    _work("check", options)


@firewall.command()
@click.option("--interface", required=True, help="The PLC link that the vehicle was matched on.")
@click.option("--mac", required=True, help="MAC address of the vehicle's modem, in any notation.")
@click.option("--for", "for_", metavar="TIME", help="[default: firewall.admit_s]")
@config_option
def admit(**options: Any) -> None:
    """Let a vehicle reach the EVSEs of a PLC link for a time; again: its time begins anew.

    \b
    Examples:
      v2g-tool firewall admit --interface evse1 --mac 02:00:5e:10:00:01 --for 12h

    Exit codes: 0 admitted. 1 refused or failed. 2 not understood.
    """
    _work("admit", options)


@firewall.command()
@click.option("--interface", required=True)
@click.option("--mac", required=True)
@config_option
def withdraw(**options: Any) -> None:
    """Take a vehicle from a PLC link: it opens no further connection; what it has open goes on.

    \b
    Examples:
      v2g-tool firewall withdraw --interface evse1 --mac 02:00:5e:10:00:01

    Exit codes: 0 it is not admitted any more. 1 refused or failed. 2 not understood.
    """
    _work("withdraw", options)


@firewall.command("watch", hidden=True)
@click.option("--state", "state_path", type=click.Path(path_type=Path), required=True)
@click.option("--id", "pending_id", required=True)
@click.option("--deadline", type=float, required=True)
@click.option("--ready", type=int)
def watch_rollback(**options: Any) -> None:
    """Roll back at the deadline unless it was confirmed: started by apply."""
    _work("watch_rollback", options)
