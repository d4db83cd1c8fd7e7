"""``kplc-driver``: powerline modems of the EVSEs, matching of vehicles (ISO 15118-3), watch over the links."""
