"""One HTML file that shows experiments to others: what `neurofit report` writes."""
