"""Configuration: TOML text to a frozen Config, or all problems at once with their places. Pure."""
