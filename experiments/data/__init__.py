"""Raw data sets prepared into validated shards."""
