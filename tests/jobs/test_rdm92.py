"""it/rdm92 on the published files, without TensorFlow."""

import pytest


@pytest.mark.process
def test_pixels_are_as_similar_to_it_as_measured_elsewhere(bench, shared, study):
    added = bench.command("data", "add", "rdm92", str(shared / "data" / "rdm92"))
    assert added.returncode == 0, added.stderr
    source = (study.jobs / "it" / "rdm92.py").read_text(encoding="utf-8")
    (bench.study.jobs / "it").mkdir()
    (bench.study.jobs / "it" / "rdm92.py").write_text(source, encoding="utf-8")
    done = bench.command("run", "it/rdm92", "--set", "layer=pixels", "--json")
    assert done.returncode == 0, done.stderr
    (row,) = [row for row in bench.outcomes("it/rdm92") if row["metrics"]]
    expected = {"monkey": 0.145, "human_mean": 0.106, "human_lower": 0.372, "human_upper": 0.666}
    assert {name: row["metrics"][name] for name in expected} == pytest.approx(expected, abs=6e-4)
