"""What happens beside training: checkpoints, memories and reports written to files."""
