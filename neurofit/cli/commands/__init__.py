"""One module per command, each with its `command`.

Modules import the rest of neurofit inside their functions, so that `--help` stays fast.
"""
