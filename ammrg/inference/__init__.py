"""From a film to its report with reasons: a trained model in one folder, opened and used."""
