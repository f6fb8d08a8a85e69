"""The policy of the unit, pure: no I/O, no clock, no logging, no asyncio; nothing of ours is imported from outside."""
