"""Detections: scores of a prediction, and the tables that people and other programs read."""
