"""v2g-orchestrator: a distribution transformer as an active node for vehicle-to-grid power."""

__version__ = "0.1.0"
