"""Trainer callbacks: they write checkpoints, memories and reports, and watch training."""
