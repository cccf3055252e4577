"""Scoring of any system's reports: predictions files in; scores, tables and a page out."""
