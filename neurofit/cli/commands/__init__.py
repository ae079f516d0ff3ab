"""One module per command, each with its `command`. What a command needs of the rest loads inside it, so that `--help` stays light."""
