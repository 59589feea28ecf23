"""The spool: rows and batches on disk."""
