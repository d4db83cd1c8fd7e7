"""Hundreds of vehicles against one station, each side a process on a core of its own."""
