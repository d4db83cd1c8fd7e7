from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import os, resource, sys
if sys.argv[1] == "forbid":
    from v2g.host import coredump
    assert coredump.forbid() is None
    assert resource.getrlimit(resource.RLIMIT_CORE)[0] == 0
if sys.argv[2] == "no limit":
    resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
print("secret", flush=True)
os.abort()
"""


def dumped(folder: Path, *words: str) -> bool:
    """Whether the kernel wrote an image of the process: to a file, or into a pipe where that is set up."""
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, *words], cwd=folder, stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.read() == b"secret\n"
    _, status = os.waitpid(process.pid, 0)
    process.returncode = -os.WTERMSIG(status)
    assert os.WTERMSIG(status) == signal.SIGABRT
    return os.WCOREDUMP(status) or any(folder.glob("*core*"))


@pytest.mark.parametrize("limit", ["no limit", "its limit"])
def test_an_aborted_process_leaves_no_image_even_where_the_limit_is_lifted_again(tmp_path: Path, limit: str) -> None:
    for name in ("with", "without"):
        (tmp_path / name).mkdir()
    if not dumped(tmp_path / "without", "allow", "no limit"):
        pytest.skip("nothing is dumped on this machine at all (RLIMIT_CORE or kernel.core_pattern)")
    assert not dumped(tmp_path / "with", "forbid", limit)
    assert list((tmp_path / "with").iterdir()) == []


def test_the_memory_of_a_process_is_closed_to_others_of_its_user(tmp_path: Path) -> None:
    if os.getuid() == 0:
        pytest.skip("root may look into every process")
    program = "import sys; from v2g.host import coredump; coredump.forbid(); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(PermissionError):
            Path(f"/proc/{process.pid}/environ").read_bytes()
        process.stdin.close()


def test_what_it_starts_works_as_ever() -> None:
    program = (
        "import subprocess, sys; from v2g.host import coredump; coredump.forbid();"
        "print(subprocess.run([sys.executable, '-c', 'print(1)'], capture_output=True, check=True).stdout)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == r"b'1\n'"
