"""ISO 15118-20 in pure Python: EXI codec, message types, sans-IO SECC and EVCC machines, an asyncio shell."""

__version__ = "0.1.0"
