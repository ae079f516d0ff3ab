"""Run the tasks of a job on this machine: `python -m neurofit.worker SUBMISSION INDEX…`."""
