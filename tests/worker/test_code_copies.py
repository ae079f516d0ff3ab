"""Files beside the code, as a job sees them."""

from __future__ import annotations

SCRIPT = """
from pathlib import Path
import neurofit as nf
HERE = Path(__file__).parent
def fit(task, *, name="named"):
    if name == "named":
        return {"x": float((HERE / "named.txt").read_text())}
    return {"x": float(Path(str(HERE) + "/" + name + ".t" + "xt").read_text())}
experiment = nf.Experiment(fit, grid=nf.grid(name=["named", "declared", "computed"]), files=["jobs/decl*.txt"])
"""


def test_files_that_code_names_or_an_experiment_declares_come_along_and_others_are_explained(bench):
    (bench.study.jobs / "beside.py").write_text(SCRIPT)
    for number, name in enumerate(("named", "declared", "computed")):
        (bench.study.jobs / f"{name}.txt").write_text(str(number))
    assert bench.run("beside") == {"done": 2, "failed": 1}
    named, declared, computed = bench.outcomes("beside")
    assert (named["metrics"], declared["metrics"]) == ({"x": 0}, {"x": 1})
    message = computed["error"]["message"]
    assert "'jobs/computed.txt'" in message and ".code" not in message
    assert 'files=["jobs/computed.txt"]' in message
    assert bench.command("run", "beside:2").returncode == 0  # here it is the study's own folder


def test_a_token_that_a_script_reads_stays_private_and_one_that_it_does_not_read_stays_where_it_is(bench):
    (bench.study.jobs / "beside.py").write_text(
        SCRIPT.replace("named.txt", "token").replace("decl*.txt", "be*.py")
    )
    for name in ("token", "other_token"):
        (bench.study.jobs / name).write_text("1")
        (bench.study.jobs / name).chmod(0o600)
    bench.submit("beside")
    bench.wait("beside")
    copies = {
        path.name: path.stat().st_mode & 0o777 for path in bench.study.training_data.glob(".code/*/jobs/*")
    }
    assert copies["token"] == 0o600 and "other_token" not in copies
