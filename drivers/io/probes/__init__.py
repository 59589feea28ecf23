"""The collectors of the probes: one thin module per source, nothing decided here."""
