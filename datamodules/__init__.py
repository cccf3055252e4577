"""From disk to batch: raw sources, prepared shards, and the LightningDataModules that serve them."""
