"""AM-MRG: chest X-ray report generation with an associative memory that can say what it remembered.

The science of the project: tensors, text and numbers in and out. Nothing here knows Lightning or
W&B, reads a global path or reaches the network at import. Research use only: not a medical device.
"""

__version__ = "0.1.0"
