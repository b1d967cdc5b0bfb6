"""A synthetic dataset of invented birds, to try the program without real recordings."""

from orchestrator.demo.dataset import DemoFacts, make_dataset

__all__ = ["DemoFacts", "make_dataset"]
