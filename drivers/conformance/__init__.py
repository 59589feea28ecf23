"""What every driver must pass, as plain functions: a driver and its vectors in, an AssertionError with words out."""
