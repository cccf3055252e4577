"""Scores of generated reports and of classifiers: pure functions on texts and arrays."""
