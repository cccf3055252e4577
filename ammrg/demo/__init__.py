"""The page on which a person tries a model: a study in, its report with reasons out."""
