"""MAC addresses of stations on a powerline: six bytes inside, colons for people."""

from __future__ import annotations

from pyiso15118.errors import LocalProtocolError

Mac = bytes
"""Six bytes, in the order on the wire."""

MAC_BYTES = 6
BROADCAST: Mac = b"\xff" * MAC_BYTES
LOCAL_MODEM: Mac = bytes.fromhex("00b052000001")
"""The host's own modem, whatever its address is (HomePlug AV: management by the local host; Qualcomm and others)."""


def is_group(mac: Mac) -> bool:
    """Broadcast and multicast: no station has it for its own."""
    return bool(mac[0] & 1)


def mac_text(mac: Mac) -> str:
    """``02:00:00:00:00:01``."""
    return mac.hex(":")


def parse_mac(text: str) -> Mac:
    """Of ``02:00:00:00:00:01``, or with dashes. Raises :class:`LocalProtocolError` for anything else."""
    digits = text.replace("-", ":").split(":")
    try:
        if len(digits) != MAC_BYTES or any(len(pair) != 2 for pair in digits):
            raise ValueError(text)
        return bytes.fromhex("".join(digits))
    except ValueError:
        raise LocalProtocolError(f"{text!r} is no MAC address: write it as 02:00:00:00:00:01") from None
