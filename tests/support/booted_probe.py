"""Tries what a sandbox should forbid or leave, and prints one JSON object: attempt -> "ok", a value or an errno's name.

Runs in the place of a unit's command, with the unit's own settings. Only the standard library.
"""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

CLONE_NEWUSER = 0x10000000
libc = ctypes.CDLL(None, use_errno=True)


def attempt(action: Callable[[], object]) -> object:
    try:
        value = action()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return "ok" if value is None else value


def called(result: int) -> None:
    if result == -1:
        raise OSError(ctypes.get_errno(), "")


def touch(path: str) -> None:
    Path(path).write_text("probe\n")
    Path(path).unlink()


def move_and_back(path: str) -> None:
    Path(path).rename(path + "-was")
    Path(path + "-was").rename(path)


def append(path: str) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_APPEND))


def names(path: str) -> list[str]:
    return sorted(entry.name for entry in Path(path).iterdir())


def writable() -> list[str]:
    """Where the mount itself would let a file be written."""
    lines = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    places = {fields[4]: fields[5].split(",") for fields in lines}
    return sorted(place for place, options in places.items() if "rw" in options)


def look(path: str) -> None:
    names(path)


def run_file(path: str) -> None:
    file = Path(path)
    file.write_text("#!/bin/true\n")
    file.chmod(0o755)
    try:
        subprocess.run([path], check=True)
    finally:
        file.unlink()


def writable_code() -> None:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()


def callback() -> object:
    """As libraries bound by ctypes use them; libffi must do it without writable code."""
    compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
    numbers = (ctypes.c_int * 3)(3, 1, 2)
    libc.qsort(numbers, 3, ctypes.sizeof(ctypes.c_int), compare(lambda a, b: a[0] - b[0]))
    return None if list(numbers) == [1, 2, 3] else list(numbers)


def open_socket(family: int, kind: int = socket.SOCK_STREAM) -> None:
    socket.socket(family, kind).close()


def listen() -> None:
    with socket.create_server(("127.0.0.1", 0)):
        pass


def child() -> None:
    subprocess.run([sys.executable, "-c", "pass"], check=True)


def child_capabilities() -> str:
    """What a program that it runs may do: ambient ones go on to it."""
    done = subprocess.run(["grep", "CapEff", "/proc/self/status"], check=True, capture_output=True, text=True)
    return done.stdout.split()[1]


def main() -> None:
    guard = int(os.environ["PROBE_GUARD_PID"])
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    credentials = os.environ.get("CREDENTIALS_DIRECTORY", "")
    attempts: dict[str, Callable[[], object]] = {
        "writable mounts": writable,
        "write the configuration": lambda: append("/etc/v2g/v2g.yaml"),
        "write a drop-in": lambda: touch("/etc/v2g/conf.d/95-probe.yaml"),
        "write a certificate": lambda: append("/etc/ssl/v2g/chain.pem"),
        "read the private key": lambda: os.close(os.open("/etc/ssl/v2g/private.key", os.O_RDONLY)),
        "write a log": lambda: append("/var/log/v2g/daemon.log"),
        "write a state": lambda: touch("/var/lib/v2g/probe"),
        "write the breaker": lambda: os.close(os.open("/run/v2g/breaker", os.O_RDWR)),
        "replace the breaker": lambda: move_and_back("/run/v2g/breaker"),
        "replace the guard's state": lambda: move_and_back("/var/lib/v2g/guard-probe"),
        "write /usr": lambda: touch("/usr/probe"),
        "look into /root": lambda: look("/root"),
        "run a file in /run": lambda: run_file("/run/v2g/probe"),
        "run a file in /tmp": lambda: run_file("/tmp/probe"),
        "start a child": child,
        "writable code": writable_code,
        "callback": callback,
        "signal the guard": lambda: os.kill(guard, 0),
        "see the guard": lambda: look(f"/proc/{guard}"),
        "see /proc/sys": lambda: look("/proc/sys"),
        "see /proc/net": lambda: look("/proc/net/"),
        "devices": lambda: sorted(set(names("/dev")) & {"mem", "kmsg", "sda", "vda", "tty0", "rtc0"}),
        "AF_UNIX": lambda: open_socket(socket.AF_UNIX),
        "AF_INET": lambda: open_socket(socket.AF_INET),
        "AF_INET6": lambda: open_socket(socket.AF_INET6),
        "AF_NETLINK": lambda: open_socket(socket.AF_NETLINK, socket.SOCK_RAW),
        "AF_PACKET": lambda: open_socket(socket.AF_PACKET, socket.SOCK_RAW),
        "listen": listen,
        "interfaces": lambda: sorted(name for _, name in socket.if_nameindex()),
        "user namespace": lambda: called(libc.unshare(CLONE_NEWUSER)),
        "personality": lambda: called(libc.personality(0x0008)),
        "real time": lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
        "nice": lambda: os.setpriority(os.PRIO_PROCESS, 0, 10),
        "set the clock": lambda: time.clock_settime(time.CLOCK_REALTIME, time.time()),
        "set the host name": lambda: socket.sethostname("probe"),
        "core limit": lambda: list(resource.getrlimit(resource.RLIMIT_CORE)),
        "core filter": lambda: int(Path("/proc/self/coredump_filter").read_text(), 16),
        "umask": lambda: oct(os.umask(0o777)),
        "CapEff": lambda: status["CapEff"].strip(),
        "CapEff of a child": child_capabilities,
        "CapBnd": lambda: status["CapBnd"].strip(),
        "NoNewPrivs": lambda: status["NoNewPrivs"].strip(),
        "Seccomp": lambda: status["Seccomp"].strip(),
        "credentials": lambda: names(credentials) if credentials else [],
    }
    print("PROBE " + json.dumps({name: attempt(action) for name, action in attempts.items()}), flush=True)


if __name__ == "__main__":
    main()
