"""Serial sensor families, one pure module each."""
