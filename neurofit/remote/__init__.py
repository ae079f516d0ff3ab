"""A study on another host, read through one connection of the system's `ssh`.

address      `user@cluster:study`
script       what the shell there runs: the neurofit there, or `tar`
connection   the process of `ssh`, its answer, and what went wrong
copies       the files that came, checked and written to a folder
"""
