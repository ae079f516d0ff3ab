"""Do one job's tasks, on whatever machine this is: `python -m neurofit.worker SUBMISSION INDEX…`."""
