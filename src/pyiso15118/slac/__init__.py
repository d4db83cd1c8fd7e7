"""Signal level attenuation characterization on a powerline (ISO 15118-3): frames, keys, both sides and the own modem.

Nothing here does input or output: frames and times come with calls, frames and events are fetched.
"""

from pyiso15118.slac.addresses import BROADCAST, LOCAL_MODEM, Mac, mac_text, parse_mac
from pyiso15118.slac.attenuation import Attenuation
from pyiso15118.slac.ev import EvMachine, EvSlacConfig
from pyiso15118.slac.evse import EvseMachine
from pyiso15118.slac.evse_config import EvseSlacConfig
from pyiso15118.slac.fields import SlacFrameError
from pyiso15118.slac.frame import ETHERTYPE, Frame, decode_frame, encode_frame, is_homeplug
from pyiso15118.slac.keys import new_nmk, nid_of
from pyiso15118.slac.messages import Message, UnknownMessage
from pyiso15118.slac.modem import ModemMachine
from pyiso15118.slac.modem_events import ModemConfig

__all__ = [
    "BROADCAST",
    "ETHERTYPE",
    "LOCAL_MODEM",
    "Attenuation",
    "EvMachine",
    "EvSlacConfig",
    "EvseMachine",
    "EvseSlacConfig",
    "Frame",
    "Mac",
    "Message",
    "ModemConfig",
    "ModemMachine",
    "SlacFrameError",
    "UnknownMessage",
    "decode_frame",
    "encode_frame",
    "is_homeplug",
    "mac_text",
    "new_nmk",
    "nid_of",
    "parse_mac",
]
