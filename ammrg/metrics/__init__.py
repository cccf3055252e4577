"""Scores of generated reports and of classifiers: pure functions on texts and arrays.

The scores of texts use numpy and never import PyTorch, so reports can be scored without it. The torchmetrics of
training, which gather over processes, build on ``gathered.py``.
"""
