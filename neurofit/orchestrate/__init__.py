"""Plan, submit, watch, cancel: the only place where experiments meet backends."""
