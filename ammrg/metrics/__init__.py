"""Scores of generated reports and of classifiers: pure functions on texts and arrays.

What scores texts uses numpy and imports no PyTorch: reports are scored without it. What training gathers over processes
is ``gathered.py`` and the torchmetrics that are built on it.
"""
