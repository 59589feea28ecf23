"""Drivers: bytes and time in, events out. Imports nothing of the agent or the center."""
