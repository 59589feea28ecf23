"""Commands of ``gardu-center``, one module each."""
