"""The agent: what runs on the node."""
