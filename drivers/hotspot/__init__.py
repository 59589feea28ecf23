"""The health of a public hotspot, layer by layer: parsers and probes. Pure."""
