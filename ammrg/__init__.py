"""AM-MRG: chest X-ray report generation with an associative memory that can say what it retrieved.

This package holds the science of the project: tensors, text and numbers go in and come out. Nothing in it knows
Lightning or W&B, reads a global path, or uses the network when it is imported. Research use only: not a medical device.
"""

__version__ = "0.1.0"
