"""One module per command, each with its `command`.

What it needs of the rest loads inside it: `--help` stays light.
"""
