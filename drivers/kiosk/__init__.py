"""The health of a kiosk as its visitors meet it: parsers and probes. Pure."""
