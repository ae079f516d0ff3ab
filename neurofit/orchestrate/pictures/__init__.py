"""What `neurofit plot` draws: which numbers, of which tasks."""
