"""Reports of any system scored honestly: predictions files in, scores, tables and a page out."""
