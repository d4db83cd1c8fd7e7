"""Evenings of a site in compressed time: a transformer, its customers and its vehicles, under one strategy or another.

A :class:`~support.evening.world.World` moves second by second; a strategy sees what a controller measures and what
vehicles tell, and answers with a power for each of them. Powers in W at the EVSE's AC side, positive charges.
"""
