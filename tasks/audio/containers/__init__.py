"""Measures the audio in a file, where headers state no length, a wrong one, or one that the file cannot hold."""
