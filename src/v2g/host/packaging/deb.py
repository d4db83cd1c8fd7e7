"""A package for Debian 12 out of a wheelhouse: a virtual environment below /opt/v2g, and links in /usr/bin."""

from __future__ import annotations

import configparser
import email.parser
import gzip
import hashlib
import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

from v2g.host.install.commands import NAMES, SLOT_LINK
from v2g.host.packaging import deb_files
from v2g.host.packaging.wheelhouse import PackagingError, Pip, Wheelhouse, run_pip
from v2g.host.packaging.wheels import ARCHITECTURES, PYTHON, pip_options

MAINTAINER = "The v2g-orchestrator authors <root@localhost>"
_TIMEOUT_S = 600.0


def deb(house: Wheelhouse, output: Path, maintainer: str = MAINTAINER, pip: Pip = run_pip) -> Path:
    """The package's file in ``output``. Raises :class:`PackagingError`."""
    tool = shutil.which("dpkg-deb")
    if tool is None:
        raise PackagingError("dpkg-deb is not installed: apt install dpkg")
    metadata = _metadata(house.own_wheel)
    architecture = ARCHITECTURES[house.contents.architecture]
    version = metadata["Version"].replace(".dev", "~dev")
    output.mkdir(parents=True, exist_ok=True)
    target = output / f"{deb_files.PACKAGE}_{version}_{architecture}.deb"
    with TemporaryDirectory(prefix="v2g-deb-", dir=output) as folder:
        tree = Path(folder) / "tree"
        environment(house, tree, pip)
        _documents(tree, house.own_wheel)
        for path in tree.rglob("*"):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
        kib = sum(path.lstat().st_size for path in tree.rglob("*") if path.is_file()) // 1024
        sums = [
            f"{hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()}  {path.relative_to(tree)}"
            for path in sorted(tree.rglob("*"))
            if path.is_file() and not path.is_symlink()
        ]
        meta = tree / "DEBIAN"
        meta.mkdir(mode=0o755)
        (meta / "control").write_text(
            deb_files.control(version, architecture, kib, maintainer, metadata["Summary"]), encoding="utf-8"
        )
        (meta / "md5sums").write_text("\n".join(sums) + "\n")
        for name in ("postinst", "prerm", "postrm"):
            (meta / name).write_text(getattr(deb_files, name)())
            (meta / name).chmod(0o755)
        tree.chmod(0o755)
        done = subprocess.run(  # noqa: S603 - paths are ours
            [tool, "--root-owner-group", "-Zzstd", "--build", str(tree), str(target)],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        if done.returncode != 0:
            raise PackagingError(f"dpkg-deb failed: {done.stderr.strip() or done.stdout.strip()}")
    return target


def environment(house: Wheelhouse, tree: Path, pip: Pip = run_pip) -> None:
    """The virtual environment below ``tree``, with the interpreter of Debian 12, made without running it: of another
    architecture it could not be."""
    prefix = tree / deb_files.PREFIX.lstrip("/")
    packages = prefix / f"lib/python{PYTHON}/site-packages"
    packages.mkdir(parents=True)
    options = [*pip_options(house.contents.architecture), "--no-index", "--no-deps", "--no-compile", "--quiet"]
    wheels = [str(house.directory / entry.file) for entry in house.contents.wheels]
    pip(["install", *options, "--no-warn-script-location", "--target", str(packages), *wheels])
    # pip puts there what belongs to the prefix.
    if (packages / "share").is_dir():
        (packages / "share").rename(prefix / "share")
    shutil.rmtree(packages / "bin", ignore_errors=True)
    (prefix / "pyvenv.cfg").write_text(f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {PYTHON}\n")
    commands = prefix / "bin"
    commands.mkdir()
    (commands / "python3").symlink_to(f"/usr/bin/python{PYTHON}")
    for name in ("python", f"python{PYTHON}"):
        (commands / name).symlink_to("python3")
    links = tree / "usr/bin"
    links.mkdir(parents=True)
    for name, (module, attribute) in _scripts(house.own_wheel).items():
        (commands / name).write_text(
            f"#!{deb_files.PREFIX}/bin/python3\nimport sys\n\nfrom {module} import {attribute}\n\n"
            f"sys.exit({attribute}())\n"
        )
        (links / name).symlink_to(SLOT_LINK / "bin" / name)


def _scripts(wheel: Path) -> dict[str, tuple[str, str]]:
    """Command -> module and function."""
    parser = configparser.ConfigParser(delimiters=("=",))
    parser.read_string(_member(wheel, "entry_points.txt"))
    found = {}
    for name, place in parser["console_scripts"].items():
        match = re.fullmatch(r"([\w.]+):(\w+)", place.strip())
        if match is None:
            raise PackagingError(f"{wheel.name}: the command {name} is at {place!r}, which is no module:function")
        found[name] = (match[1], match[2])
    if set(found) != set(NAMES):
        raise PackagingError(f"{wheel.name} has the commands {', '.join(found)}; wanted are {', '.join(NAMES)}")
    return found


def _metadata(wheel: Path) -> dict[str, str]:
    message = email.parser.HeaderParser().parsestr(_member(wheel, "METADATA"))
    return {name: message[name] or "" for name in ("Version", "Summary")}


def _member(wheel: Path, name: str) -> str:
    try:
        with zipfile.ZipFile(wheel) as archive:
            inside = next(member for member in archive.namelist() if member.endswith(f".dist-info/{name}"))
            return archive.read(inside).decode()
    except (OSError, zipfile.BadZipFile, StopIteration) as error:
        raise PackagingError(f"{wheel} is no wheel with {name}: {error}") from None


def _documents(tree: Path, wheel: Path) -> None:
    folder = tree / f"usr/share/doc/{deb_files.PACKAGE}"
    folder.mkdir(parents=True)
    (folder / "copyright").write_text(
        "Copyright: the v2g-orchestrator authors\nLicense: Apache-2.0, /usr/share/common-licenses/Apache-2.0\n"
        f"The packages of others below {deb_files.PREFIX} have theirs in their *.dist-info directories.\n"
    )
    readme = _member(wheel, "METADATA").partition("\n\n")[2].encode()
    with (folder / "README.md.gz").open("wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=_epoch()) as file:
        file.write(readme)


def _epoch() -> float:
    """Of reproducible builds."""
    return float(os.environ.get("SOURCE_DATE_EPOCH", "0"))
