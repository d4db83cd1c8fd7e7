"""NftFirewall as kplc-driver uses it: as a user who is not root and has CAP_NET_ADMIN only. Prints JSON."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

from v2g.host.firewall import kernel
from v2g.host.firewall.nft import FirewallError, Nft
from v2g.plc.admission import NftFirewall

ONE, OTHER = "02:00:00:00:00:01", "02:00:00:00:00:02"


def main(program: str, interface: str, set_name: str) -> None:
    def admitted() -> list[str]:
        return [one.mac for one in kernel.admitted(Nft(program).table())]

    firewall = NftFirewall({interface: set_name}, lambda: Nft(program))
    began = time.monotonic()
    firewall.admit(interface, ONE, 30.0)
    seen: dict[str, object] = {"uid": os.getuid(), "took_s": time.monotonic() - began, "admitted": admitted()}
    left = [one.left_s for one in kernel.admitted(Nft(program).table())]
    time.sleep(2.1)
    firewall.admit(interface, ONE, 30.0)
    again = [one.left_s for one in kernel.admitted(Nft(program).table())]
    seen["refreshed"] = bool(left and again and again[0] >= left[0] - 1)
    firewall.admit(interface, OTHER, 1.0)
    firewall.withdraw(interface, ONE)
    seen["withdrawn"] = admitted()
    time.sleep(2.2)
    seen["run out"] = admitted()
    try:
        NftFirewall({}, lambda: Nft(program)).admit(interface, ONE, 30.0)
    except FirewallError as error:
        seen["no set"] = str(error)
    print(json.dumps(seen))


if __name__ == "__main__":
    main(*sys.argv[1:])
