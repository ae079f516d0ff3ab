"""How much does a refractory period regularise a spike train? Answered by a program that is not written in
Python: mean rate [1/s] of a simulated neuron, and its intervals' coefficient of variation, which is 1 without
refractoriness.

The program is a few lines of awk, `refractory.awk`; a simulator of yours goes in its place.
"""

import neurofit as nf

experiment = nf.Experiment(
    fit=nf.Command(
        "awk -f jobs/refractory.awk {rate} {refractory_ms} {duration} {seeds.noise} {note}",
        code=["jobs/refractory.awk"],
        defaults={
            "rate": 40.0,
            "refractory_ms": 0.0,
            "duration": 100.0,
            "note": 'it\'s "quoted", $(not run)',
        },
        pattern=r"^rate (?P<rate>\S+)$|^interval_cv (?P<interval_cv>\S+)$",
    ),
    grid=nf.grid(rate=[20.0, 60.0], refractory_ms=[0.0, 2.0, 5.0, 10.0]),
    repetitions=5,
)

if __name__ == "__main__":
    nf.main(experiment)
