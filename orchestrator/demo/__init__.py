"""A synthetic dataset of invented birds, so everything can be tried without one real recording."""

from orchestrator.demo.dataset import DemoFacts, make_dataset

__all__ = ["DemoFacts", "make_dataset"]
