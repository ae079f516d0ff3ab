"""Records of tasks as tables: a row per task or per run, comparisons, notes, formats."""
