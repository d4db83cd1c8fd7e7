"""A plant to run the controller against: grid, transformer, breaker, inverters, DC EVSEs and vehicles as processes.

The models are pure (time is an argument); ``plant``, ``vehicle`` and ``supervisor`` are the processes around them.
"""
