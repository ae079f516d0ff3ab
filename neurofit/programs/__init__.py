"""Any program as a fit: its command with placeholders, and the metrics that it leaves."""
