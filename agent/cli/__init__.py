"""The commands of gardu, one module each."""
