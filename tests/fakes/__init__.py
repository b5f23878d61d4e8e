"""Real implementations of the ports, in memory and with buttons: an upstream, a clock, events.

They are held to the same contracts as what they stand for (`tests/contracts/`).
"""
