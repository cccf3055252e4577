"""Memory banks: stored patterns with their provenance, what goes in, and what may be recalled."""
