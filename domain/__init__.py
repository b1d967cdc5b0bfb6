"""Values that every package speaks of; the standard library alone."""
