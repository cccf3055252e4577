"""Memory banks: stored patterns with their provenance, which patterns go in, and which a study may retrieve."""
