"""Values that all packages share; imports only the standard library."""
