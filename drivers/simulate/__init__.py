"""The same families from the other end of the wire."""
