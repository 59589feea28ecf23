"""The reference command center."""
