"""The version, in one place: read by the build, the daemon and `gardu version` without costly metadata look-ups."""

VERSION = "0.1.0"
