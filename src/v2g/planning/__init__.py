"""The plan of the coming day: a linear programme over all vehicles, with the transformer's temperatures. Pure."""
