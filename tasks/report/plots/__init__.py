"""Plots as SVG elements."""
