"""Datasets: layouts, manifest, recording index, split and shards."""
