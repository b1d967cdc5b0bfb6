"""From folders to shards: layouts, manifest, split, shard."""
