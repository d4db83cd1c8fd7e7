from __future__ import annotations

from pathlib import Path

import pytest

from v2g.host.firewall.nft import FirewallError, Nft, find


def program(folder: Path, body: str) -> str:
    path = folder / "nft"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("says", "told"),
    [
        ("Operation not permitted (you must be root)", "run this with sudo"),
        ("netlink: Error: Protocol not supported", "CONFIG_NF_TABLES_INET"),
        ("Error: Could not process rule: Operation not supported", "CONFIG_NF_TABLES_INET"),
        ("/dev/stdin:1:1-3: Error: syntax error", "nft refuses: /dev/stdin:1:1-3: Error: syntax error"),
    ],
)
def test_what_nft_says_is_told_with_what_to_do(tmp_path: Path, says: str, told: str) -> None:
    nft = Nft(program(tmp_path, f"cat >/dev/null; echo '{says}' >&2; exit 1"))
    with pytest.raises(FirewallError) as caught:
        nft.load("table inet v2g")
    assert told in str(caught.value)


def test_without_nft_the_package_is_named(tmp_path: Path) -> None:
    with pytest.raises(FirewallError, match="apt-get install nftables"):
        find(str(tmp_path))


def test_a_program_that_cannot_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(FirewallError, match="cannot be run"):
        Nft(str(tmp_path / "nft")).load("")


@pytest.mark.parametrize("lists", ["", "no json", "[]", '{"nftables": 5}'])
def test_a_listing_that_cannot_be_read_is_refused(tmp_path: Path, lists: str) -> None:
    nft = Nft(program(tmp_path, f"printf '%s' '{lists}'"))
    if lists:
        with pytest.raises(FirewallError, match="cannot be read"):
            nft.table()
    else:
        assert nft.table() == []


def test_only_our_own_table_is_ours(tmp_path: Path) -> None:
    theirs = '{"nftables": [{"table": {"family": "ip", "name": "v2g"}}, {"table": {"family": "inet", "name": "x"}}]}'
    nft = Nft(program(tmp_path, f"printf '%s' '{theirs}'"))
    assert nft.table() == []
    assert nft.table_text() == ""


def test_what_the_kernel_lacks_is_found_one_by_one(tmp_path: Path) -> None:
    body = 'case "$(cat)" in *"ct count"*|*"timeout 60s"*) echo "Error: No such file or directory" >&2; exit 1;; esac'
    found = Nft(program(tmp_path, body)).features()
    assert (found.connection_count, found.limit, found.log, found.timeouts) == (False, True, True, False)
    assert len(found.lacking) == 2


def test_what_there_is_no_doing_without_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FirewallError):
        Nft(program(tmp_path, "cat >/dev/null; echo 'Error: Operation not supported' >&2; exit 1")).features()


def test_nothing_of_the_environment_reaches_nft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_PRELOAD", "/tmp/evil.so")
    out = tmp_path / "environ"
    Nft(program(tmp_path, f"cat >/dev/null; env > {out}")).load("x")
    assert "evil" not in out.read_text()
