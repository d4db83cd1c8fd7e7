"""Preflight: is this host, and what stands on it, fit to serve vehicles and to discharge them?

A check is a pure function from facts to lines, and a thin probe that collects the facts below given directories. What
needs the configuration, certificates or the daemon's own knowledge is in :mod:`v2g.orchestrator.preflight`.

Where the daemon runs the checks, a fail refuses discharge until it is mended; charging goes on. Some checks never
fail, and some are not the daemon's to make:

================= ======================================= ===================== ======================================
check             fails                                   refuses discharge     warns
================= ======================================= ===================== ======================================
kernel            older than 5.10                         site                  no PREEMPT_RT; cannot be told
realtime          never                                   no                    no SCHED_FIFO or locked memory
capabilities      kplc-driver may not send raw Ethernet   command only          more rights than needed
clock             before this software's release          site                  not synchronised
users             a daemon's user is missing              command only          a role's group is missing
units             orchestrator or guard not installed     command only          not enabled, masked, no systemd
disk              full, read-only, not writable           site                  nearly full (space or inodes)
versions          a package missing or outside its pin    site                  its metadata cannot be read
sockets           something else in a socket's place      command only          left by a daemon that has died
led               never                                   no                    configured and not there, not writable
configuration     cannot be used                          command only (a)      its own warnings; (a)
ipv6              no interface, down, no usable address   its EVSEs             no carrier
ports             held by another, or nobody listens      its EVSEs             who holds one is not known
certificates      missing, expired, key open to others    its profile's EVSEs   ends soon
tls               never                                   no                    each gap to ISO 15118-20
mesh-certificate  never                                   no                    missing, expired, ends soon
firewall          never                                   command only          not in force, changed, not told
waveform          missing, foreign, stale                 site                  an unusual rate
sensors           oil, a waveform channel or an interlock site                  winding, ambient, mains; not mapped
                  lost or implausible
inverters         no answer                               its EVSE              another device gives no answer
efficiency        below 97 % and not accepted             its EVSE              never measured
relay             not stated, no feedback, open, unknown  site                  never
daemon            its own preflight did not end           site                  never
================= ======================================= ===================== ======================================

(a) A file that was broken while the daemon runs concerns the next start: the daemon warns, the command fails.

In the simulation kernel, realtime, capabilities, clock, users, units, versions and firewall are warnings at most.
"""

from __future__ import annotations
