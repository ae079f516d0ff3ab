"""Damaged studies: a small real one, ways to damage a file of it, and what may then be shown.

`Case` is one damaged file and some commands; `faults(case)` says what is wrong with what they did: a
traceback, an exit code that is not documented, a value that no file has, something missing about which
nothing is said.
"""
