"""Shards: examples in Parquet files."""
