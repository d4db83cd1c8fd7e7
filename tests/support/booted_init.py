"""Becomes a systemd in namespaces of its own: ``python booted_init.py outer|inner SPEC.json``.

``outer`` goes into the control group and makes the namespaces; ``inner``, PID 1 there, lays an overlay over the root
file system, mounts what a booted host has, copies the tree of files it is given into it and becomes systemd. Nothing
that happens inside reaches the host's files. Only the standard library: it runs before anything is installed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
MASKED = (
    "dev-hugepages.mount",
    "dev-mqueue.mount",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-binfmt.service",
    "systemd-modules-load.service",
    "systemd-remount-fs.service",
    "systemd-sysctl.service",
    "systemd-timesyncd.service",
    "systemd-udev-trigger.service",
    "systemd-udevd.service",
    "systemd-update-utmp.service",
)
TARGET = """[Unit]
Requires=dbus.socket systemd-journald.service
After=dbus.socket systemd-journald.service
AllowIsolate=yes
"""


def mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)


def outer(spec_path: str, spec: dict[str, object]) -> None:
    (Path(str(spec["cgroup"])) / "cgroup.procs").write_text(str(os.getpid()))
    kinds = ("--mount", "--uts", "--ipc", "--cgroup", "--net", "--pid")
    words = ["unshare", *kinds, "--fork", "--kill-child", sys.executable, __file__, "inner", spec_path]
    os.execvp("unshare", words)  # noqa: S606


def inner(spec: dict[str, object]) -> None:
    work = Path(str(spec["work"]))
    mount("--make-rprivate", "/")
    mount("-t", "tmpfs", "tmpfs", str(work))
    upper, scratch, root = work / "upper", work / "scratch", work / "root"
    for folder in (upper, scratch, root):
        folder.mkdir()
    mount("-t", "overlay", "overlay", "-o", f"lowerdir=/,upperdir={upper},workdir={scratch}", str(root))
    mount("-t", "proc", "proc", str(root / "proc"))
    mount("-t", "sysfs", "-o", "ro", "sysfs", str(root / "sys"))
    mount("-t", "cgroup2", "cgroup2", str(root / "sys/fs/cgroup"))
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", str(root / "run"))
    mount("-t", "tmpfs", "-o", "mode=1777", "tmpfs", str(root / "tmp"))
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", str(root / "dev"))
    for name in DEVICES:
        (root / "dev" / name).touch()
        mount("--bind", f"/dev/{name}", str(root / "dev" / name))
    for name in ("pts", "shm"):
        (root / "dev" / name).mkdir()
    mount("-t", "devpts", "-o", "newinstance,ptmxmode=0666", "devpts", str(root / "dev/pts"))
    (root / "dev/ptmx").symlink_to("pts/ptmx")
    mount("-t", "tmpfs", "-o", "mode=1777", "tmpfs", str(root / "dev/shm"))
    (root / "mnt").mkdir(exist_ok=True)
    settle(root)
    for source, target in dict(spec["binds"]).items():  # type: ignore[call-overload]
        (root / target.lstrip("/")).mkdir(parents=True, exist_ok=True)
        mount("--bind", "-o", "ro", source, str(root / target.lstrip("/")))
    shutil.copytree(str(spec["tree"]), root, symlinks=True, dirs_exist_ok=True)
    # Not chroot: from a changed root the kernel lets nobody make user namespaces, which PrivateUsers= needs.
    os.chdir(root)
    subprocess.run(["pivot_root", ".", "mnt"], check=True)
    os.chdir("/")
    subprocess.run(["umount", "--lazy", "/mnt"], check=True)
    # As on a host: systemd mounts credentials in a namespace of its own and has them seen by propagation.
    mount("--make-rshared", "/")
    environment = {"container": "v2g-test", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    words = ["systemd", "--system", "--unit=booted.target", "--log-target=journal", "--show-status=0"]
    os.execve("/lib/systemd/systemd", words, environment)  # noqa: S606


def settle(root: Path) -> None:
    """No identity, no disks and no services of the host's: only the manager, its journal and the bus."""
    (root / "etc/machine-id").write_text("")
    (root / "etc/fstab").write_text("")
    units = root / "etc/systemd/system"
    for wants in units.glob("*.wants"):
        shutil.rmtree(wants)
    for name in MASKED:
        (units / name).unlink(missing_ok=True)
        (units / name).symlink_to("/dev/null")
    (units / "booted.target").write_text(TARGET)


if __name__ == "__main__":
    content = json.loads(Path(sys.argv[2]).read_text())
    if sys.argv[1] == "outer":
        outer(sys.argv[2], content)
    else:
        inner(content)
