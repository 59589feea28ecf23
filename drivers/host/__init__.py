"""The node's own health: what a sample is, and the readings two samples give. Pure."""
