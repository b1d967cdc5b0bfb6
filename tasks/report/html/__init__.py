"""The page: from values to one HTML file."""
