"""Deterministic simulation: the real spool, uplink and center on one clock, one wire and one source of chance."""
