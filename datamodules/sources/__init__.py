"""Readers of raw data sets, one module for each; they turn files into Study records."""
