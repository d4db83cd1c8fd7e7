"""The texts of the Debian package: control file and maintainer scripts. Pure."""

from __future__ import annotations

from v2g.host.install.commands import SLOT_LINK
from v2g.host.install.host_tools import UNITS
from v2g.host.install.manifest import DIRECTORY
from v2g.host.install.removal import GROWN, LEFT
from v2g.host.packaging.wheels import GLIBC_MINOR, PYTHON

PACKAGE = "v2g-orchestrator"
PREFIX = f"{SLOT_LINK.parent}/package"
_RESTART = "/run/v2g-package-restart"
_FIRMWARE = ("slots", "current", "proven", "journal.json", "last.json", "lock", "staging", "probe", "backups")
_NEXT = f"3.{int(PYTHON.split('.')[1]) + 1}"


def control(version: str, architecture: str, installed_kib: int, maintainer: str, summary: str) -> str:
    """``architecture`` by Debian's name."""
    return f"""Package: {PACKAGE}
Version: {version}
Architecture: {architecture}
Maintainer: {maintainer}
Section: utils
Priority: optional
Installed-Size: {installed_kib}
Depends: python3 (>= {PYTHON}), python3 (<< {_NEXT}), libc6 (>= 2.{GLIBC_MINOR}), libstdc++6, systemd, passwd
Recommends: nftables, logrotate, chrony | time-daemon
Description: {summary.rstrip(".")}
 Sessions with vehicles by ISO 15118-20, grid protection by IEEE 1547, thermal
 limits of the transformer by IEC 60076-7. With all that it needs of Python in
 an environment of its own below {PREFIX}.
 .
 Nothing is started by the installation: edit /etc/v2g/v2g.yaml, then
 v2g-tool install --start.
"""


def postinst() -> str:
    return f"""#!/bin/sh
set -e
[ "$1" = configure ] || exit 0
was=$(readlink {SLOT_LINK} || true)
ln -sfn package {SLOT_LINK}
ln -sfn package {SLOT_LINK.parent}/proven
case "$was" in
  ''|package) ;;
  *) echo "{PACKAGE}: {SLOT_LINK} led to $was and leads to this package now." ;;
esac
# The daemons may not write there.
{PREFIX}/bin/python3 -m compileall -q -j 0 {PREFIX}/lib >/dev/null || true
{PREFIX}/bin/v2g-tool install --prefix {SLOT_LINK}
if [ -s {_RESTART} ] && [ -d /run/systemd/system ]; then
  xargs systemctl start < {_RESTART} || echo "{PACKAGE}: not all daemons are back: systemctl --failed" >&2
fi
rm -f {_RESTART}
"""


def prerm() -> str:
    return f"""#!/bin/sh
set -e
case "$1" in
  remove)
    # Firmware may have put a newer one in place, which knows best what it laid out.
    tool={SLOT_LINK}/bin/v2g-tool
    $tool --version >/dev/null 2>&1 || tool={PREFIX}/bin/v2g-tool
    if $tool --version >/dev/null 2>&1; then
      $tool uninstall --yes
    else
      echo "{PACKAGE}: it does not run here; what {DIRECTORY}/manifest.json names stays." >&2
    fi
    for link in {SLOT_LINK} {SLOT_LINK.parent}/proven; do
      if [ "$(readlink $link || true)" = package ]; then rm -f $link; fi
    done
    ;;
  upgrade)
    # A daemon whose files change below it would load half of the new version. A stop drains.
    if [ -d /run/systemd/system ]; then
      : > {_RESTART}
      for unit in {" ".join(UNITS)}; do
        if systemctl --quiet is-active "$unit"; then echo "$unit" >> {_RESTART}; fi
      done
      if [ -s {_RESTART} ]; then xargs systemctl stop < {_RESTART}; fi
    fi
    ;;
esac
# Of firmware: which version it took this for.
rm -f {PREFIX}/v2g-slot.json
find {PREFIX} -name __pycache__ -type d -prune -exec rm -rf {{}} +
"""


def postrm() -> str:
    paths = "|".join((*GROWN, DIRECTORY))
    return f"""#!/bin/sh
set -e
if [ "$1" = purge ] && [ -f {LEFT} ]; then
  while read -r kind what; do
    case "$kind" in
      path)
        case "$what" in
          {paths}|/etc/systemd/system/*.d) rm -rf -- "$what" ;;
        esac
        ;;
      file) rm -f -- "$what" ;;
      user) if getent passwd "$what" >/dev/null; then userdel "$what"; fi ;;
      group) if getent group "$what" >/dev/null; then groupdel "$what"; fi ;;
      directory) if [ -d "$what" ]; then rmdir --ignore-fail-on-non-empty -- "$what"; fi ;;
    esac
  done < {LEFT}
fi
if [ "$1" = purge ]; then
  # Slots and notes of firmware; nothing else is below this directory.
  rm -rf -- {" ".join(f"{SLOT_LINK.parent}/{name}" for name in _FIRMWARE)}
fi
if [ "$1" = purge ] || [ "$1" = remove ]; then
  rmdir --ignore-fail-on-non-empty {SLOT_LINK.parent} 2>/dev/null || true
  if [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi
fi
"""
