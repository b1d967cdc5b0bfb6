"""Plots: from values to SVG."""
