"""Data sets of a study's own, made by scripts in its data/."""

from __future__ import annotations

import numpy as np
import pytest

from neurofit import datasets
from neurofit.datasets.catalogue import files
from neurofit.errors import DataError, NameUnknown
from neurofit.experiments.snapshot import closure, code_hash, collect

CELLS = '''"""Six images and two cells."""
import numpy as np
from neurofit import datasets

def load(study):
    values = np.load(study / "data" / "values.npy")
    return datasets.from_arrays(images=values, responses=values[:, 0])
'''


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    np.save(folder / "values.npy", np.random.default_rng(0).random((6, 4, 2)))
    (folder / "cells.py").write_text(CELLS)
    return folder


def test_a_script_in_data_makes_a_data_set_of_its_name(data):
    cells = datasets.load("cells", data)
    assert (cells.name, cells.n_images, cells.n_neurons) == ("cells", 6, 2)
    datasets.check("cells", data)
    known = {one.name: one for one in datasets.known(data)}
    assert known["cells"].description == "Six images and two cells." and not known["cells"].missing
    assert not (data / "__pycache__").exists()


def test_the_tables_that_a_script_reads_are_its_files(data):
    (data / "table.csv").write_text("image,a\n")
    (data / "cells.py").write_text(
        "from neurofit.datasets import from_folder\ndef load(study):\n"
        "    return from_folder(study / 'data', 'table.csv')\n"
    )
    with pytest.raises(DataError, match=r"cells\.py: .*table\.csv: no rows"):
        datasets.load("cells", data)
    from PIL import Image

    for number in range(2):
        Image.fromarray(np.full((2, 2), number, np.uint8)).save(data / f"{number}.png")
    (data / "table.csv").write_text("image,a\n0.png,1\n1.png,2\n")
    assert files("cells", data) == []
    datasets.load("cells", data)
    assert files("cells", data) == [data / "table.csv"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1 +", "cannot be loaded: SyntaxError"),
        ("import not_there", "cannot be loaded: ModuleNotFoundError: .*line 1"),
        ("def lod(): ...", "no function `load`"),
        ("def load():\n    return 1 / 0", r"`load` failed: ZeroDivisionError: division by zero \(line 2\)"),
        ("def load():\n    return [1]", "returned a list; expected a Dataset"),
        ("load = 3", "no function `load`"),
    ],
)
def test_a_script_that_makes_no_data_set_says_why(data, text, message):
    (data / "cells.py").write_text(text)
    with pytest.raises(DataError, match=f"cells.py.*{message}"):
        datasets.load("cells", data)
    assert {one.name for one in datasets.known(data)} >= {"cells"}


def test_a_script_may_not_hide_recordings_and_helpers_make_no_data_set(data):
    (data / "rdm92.py").write_text(CELLS)
    (data / "_helper.py").write_text(CELLS)
    with pytest.raises(DataError, match=r"rdm92\.py has the name of the data set"):
        datasets.load_stimuli("rdm92", data)
    with pytest.raises(NameUnknown, match="Did you mean 'cells'"):
        datasets.load("cell", data)
    with pytest.raises(NameUnknown):
        datasets.load("_helper", data)


def test_a_script_can_make_images_alone(data):
    (data / "pictures.py").write_text(
        "import numpy as np\nfrom neurofit.datasets import PixelFormat, StimulusSet\ndef load():\n"
        "    images = np.arange(48, dtype='uint8').reshape(1, 4, 4, 3)\n"
        "    return StimulusSet.from_array('x', images, PixelFormat())\n"
    )
    assert datasets.load_stimuli("pictures", data).name == "pictures"
    with pytest.raises(NameUnknown, match="makes a StimulusSet, and a Dataset is needed"):
        datasets.load("pictures", data)
    with pytest.raises(NameUnknown, match="makes a Dataset, and a StimulusSet is needed"):
        datasets.load_stimuli("cells", data)


def test_the_scripts_of_data_sets_that_a_script_names_are_its_code(bench, data):
    root = bench.study.root
    target = root / "data"
    target.mkdir(exist_ok=True)
    (root / "lib").mkdir()
    (root / "lib" / "where.py").write_text("PATH = 1\n")
    (target / "cells.py").write_text(f"from lib.where import PATH\n{CELLS}")
    (target / "other.py").write_text(CELLS)
    script = bench.script(
        "uses", "axis = ['cells/test']\nexperiment = nf.Experiment(lambda task: {'m': 1})\n"
    )
    expected = {"jobs/uses.py", "data/cells.py", "lib/where.py"}
    path = root / "jobs" / "uses.py"
    assert set(closure(root, path)) == expected == set(collect(bench.study, path)), script
    before = code_hash(root, path)
    (target / "other.py").write_text("changed = 1\n")
    assert code_hash(root, path) == before
    (root / "lib" / "where.py").write_text("PATH = 2\n")
    assert code_hash(root, path) != before


MODEL = """
    import keras
    def model(shapes):
        return keras.Sequential([keras.Input(shapes.image), keras.layers.Flatten(),
                                 keras.layers.Dense(shapes.neurons, "softplus")])
    experiment = nf.Experiment(nf.models.Fit(
        model, data="cells", training=nf.models.Training(epochs=1),
        split=nf.datasets.Split(validation=3, test=3, rule="exact")))
"""


def plan(bench):
    from neurofit.orchestrate.plan import SubmitOptions, load, make

    return make(bench.study, load(bench.study, "trains"), SubmitOptions())


def test_data_is_checked_when_a_submit_is_planned(bench):
    bench.script("trains", MODEL.replace("import keras", "pass"))
    folder = bench.study.root / "data"
    folder.mkdir(exist_ok=True)
    with pytest.raises(NameUnknown, match="No data set 'cells'"):
        plan(bench).check_data()
    (folder / "cells.py").write_text(CELLS)
    with pytest.raises(DataError, match=r"values\.npy"):
        bench.submit("trains")
    assert not bench.status("trains").submissions
    np.save(folder / "values.npy", np.random.default_rng(0).random((6, 4, 2)))
    found = plan(bench)
    found.check_data()
    assert len(found.tasks) == 1


@pytest.mark.process
def test_a_dry_run_says_that_the_data_are_missing_and_a_submit_refuses(bench):
    bench.script("trains", MODEL.replace("import keras", "pass"))
    said = bench.command("submit", "trains", "--dry-run")
    assert said.returncode == 0 and "1 new" in said.stdout
    assert "trains could not be queued: No data set 'cells'" in said.stderr
    said = bench.command("submit", "trains")
    assert said.returncode == 1 and "Error: No data set 'cells'" in said.stderr
    assert not bench.status("trains").submissions


@pytest.mark.slow
def test_a_task_runs_the_copy_of_the_script_and_reads_the_studys_data(bench):
    bench.script("trains", MODEL)
    folder = bench.study.root / "data"
    folder.mkdir(exist_ok=True)
    np.save(folder / "values.npy", np.random.default_rng(0).random((12, 4, 2)))
    (folder / "cells.py").write_text(CELLS)
    bench.submit("trains")
    (folder / "cells.py").write_text("raise SystemExit('the live file was run')\n")
    assert bench.wait("trains") == {"done": 1}
