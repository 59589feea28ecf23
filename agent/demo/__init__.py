"""The demo: the whole of Gardu at work on one machine, and the proof at the end."""
