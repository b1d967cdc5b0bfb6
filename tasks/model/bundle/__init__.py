"""Bundles: a trained network in one file, with all that is needed to use it."""
