"""Raw data sets prepared as validated shards, and prepared data exported."""
