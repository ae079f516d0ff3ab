"""First profiles: the queues of a host, as its programs name them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from fakes import Fakes

from neurofit.backends import profiles, runner

REPOSITORY = Path(__file__).resolve().parents[2]
GRID_ENGINE = 'SGE 8.1.9\nqsub: invalid option argument "--version"\n'
COMPLEXES = "#name shortcut type relop requestable consumable default urgency\n%s\n"
ALL = ["sbatch", "sinfo", "qsub", "qconf", "qstat"]


@pytest.fixture
def host(tmp_path, monkeypatch, processes):
    """A host with just these schedulers' programs."""

    def made(*names: str) -> Fakes:
        monkeypatch.setenv("PATH", "/usr/bin:/bin")
        fakes = Fakes(tmp_path / "host", monkeypatch, list(names))
        monkeypatch.setattr(profiles, "has", lambda name: name in names)
        return fakes

    return made


def read(found: dict[str, str], tmp_path: Path) -> dict[str, dict]:
    """The profiles' settings; each must be one that a runner can be made of."""
    for name, text in found.items():
        (tmp_path / f"{name}.yaml").write_text(text)
        runner.load(tmp_path, name)
    return {name: yaml.safe_load(text) for name, text in found.items()}


def test_the_repositorys_profiles_are_the_texts_of_the_package():
    shipped = {path.name: path.read_text() for path in profiles.TEXTS.glob("*.yaml")}
    assert shipped == {path.name: path.read_text() for path in (REPOSITORY / "runners").glob("*.yaml")}


def test_a_host_without_queues_has_itself(host, tmp_path):
    host()
    assert read(profiles.for_this_host(), tmp_path) == {
        "local": {"backend": "local", "workers": None, "resources": {"cpus": 1}}
    }


def test_slurm(host, tmp_path):
    host("sbatch", "sinfo").say("sinfo", "long|(null)\nshort*|(null)\nbig gpus|gpu:a100:4(S:0-1)\n")
    found = read(profiles.for_this_host(), tmp_path)
    assert set(found) == {"local", "slurm-cpu", "slurm-gpu"}
    assert found["slurm-cpu"]["queue"] == "short" and found["slurm-gpu"]["queue"] == "big gpus"


def test_slurm_without_gpus_and_without_a_default(host, tmp_path):
    host("sbatch", "sinfo").say("sinfo", "long|(null)\n")
    found = read(profiles.for_this_host(), tmp_path)
    assert set(found) == {"local", "slurm-cpu"} and found["slurm-cpu"]["queue"] is None


def test_grid_engine(host, tmp_path):
    fakes = host("qsub", "qconf")
    fakes.say("qsub", GRID_ENGINE, status=7)
    fakes.say("qconf", "all.q\nlong.q\nnvidia-gpu.q\n", call=1)
    fakes.say("qconf", "mpi\nsmp-pe\n", call=2)
    fakes.say("qconf", COMPLEXES % "mem_free mf MEMORY\nh_data h_data MEMORY\ngpus gpus INT", call=3)
    texts = profiles.for_this_host()
    found = read(texts, tmp_path)
    assert set(found) == {"local", "qsub-cpu", "qsub-gpu"}
    cpu, gpu = found["qsub-cpu"], found["qsub-gpu"]
    assert (cpu["queue"], cpu["parallel_environment"]) == ("all.q", "smp-pe")
    assert (cpu["memory_complexes"], cpu["memory_per_slot"]) == (["mem_free", "h_data"], ["h_data"])
    assert (gpu["queue"], gpu["gpu_complex"], gpu["memory_complexes"]) == (
        "nvidia-gpu.q",
        "gpus",
        ["mem_free"],
    )
    assert (
        "queue: all.q                          # <- `qconf -sql` lists the queues; null" in texts["qsub-cpu"]
    )


def test_a_grid_engine_that_does_not_answer_has_its_profiles_as_they_stand(host, tmp_path):
    fakes = host("qsub", "qconf")
    fakes.say("qsub", GRID_ENGINE)
    fakes.say("qconf", stderr="error: commlib error: got select error\n", status=1)
    assert profiles.for_this_host()["qsub-gpu"] == profiles.text("qsub-gpu")


def test_pbs(host, tmp_path):
    fakes = host("qsub", "qstat")
    fakes.say("qsub", stderr="pbs_version = 23.06.06\n")
    fakes.say("qstat", "Queue   Max   Tot Ena\n-----  ----  ---- ----\ncpuq   0     0 yes\ngpuq   0  0 yes\n")
    found = read(profiles.for_this_host(), tmp_path)
    assert set(found) == {"local", "pbs-cpu", "pbs-gpu"}
    assert found["pbs-cpu"]["queue"] is None and found["pbs-gpu"]["queue"] == "gpuq"


@pytest.mark.parametrize("answer", [{"status": 1}, {"stdout": "garbled"}])
def test_programs_that_do_not_help_are_no_error(host, tmp_path, answer):
    fakes = host(*ALL)
    for name in ALL:
        fakes.say(name, **answer)
    assert set(profiles.for_this_host()) == {"local"}


def test_a_controller_that_is_dead_has_its_profiles_as_they_stand_and_hides_no_other_queue(host, monkeypatch):
    """`sinfo` tries for nine seconds; Grid Engine answers meanwhile, and may be slow once it has."""
    monkeypatch.setattr(profiles, "FIRST_ANSWER_SECONDS", 0.5)
    fakes = host(*ALL)
    fakes.say("sinfo", seconds=30)
    fakes.say("qsub", GRID_ENGINE)
    fakes.say("qconf", "short.q\n", call=1)
    fakes.say("qconf", "smp-pe\n", seconds=1, call=2)
    fakes.say("qconf", COMPLEXES % "mem_free mf MEMORY", call=3)
    found = profiles.for_this_host()
    assert fakes.has_answered("qconf") and not fakes.has_answered("sinfo"), "it was waited for"
    assert found["slurm-cpu"] == profiles.text("slurm-cpu") and found["slurm-gpu"] == profiles.text(
        "slurm-gpu"
    )
    assert "queue: short.q" in found["qsub-cpu"] and "parallel_environment: smp-pe" in found["qsub-cpu"]


def test_a_qsub_that_does_not_say_whose_it_is_is_not_waited_for(host, monkeypatch):
    monkeypatch.setattr(profiles, "FIRST_ANSWER_SECONDS", 0.3)
    host("qsub", "qconf").say("qsub", seconds=30)
    assert set(profiles.for_this_host()) == {"local"}
