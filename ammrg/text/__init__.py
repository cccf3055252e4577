"""Report text: cleaning, the rule-based labeler, the instruction given to the language model."""
