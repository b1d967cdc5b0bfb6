"""Bundles: a trained network in one file, with everything that prediction needs."""
