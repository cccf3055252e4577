"""Lightning shells around the networks: batch -> loss, logs and scores."""
