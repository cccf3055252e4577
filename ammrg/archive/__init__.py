"""An image archive's new chest studies described and their documents stored back, over DICOMweb, each once."""
