"""Job scripts: found and loaded; and the study's own code as it was, by content."""
