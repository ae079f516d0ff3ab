"""`neurofit data`: example files and converted images."""

import neurofit as nf


def test_the_example_is_made_and_listed_from_the_command_line(study):
    study("data", "make-example", "majaj_2015", "--images", "64", "--size", "39", "--neurons", "3", "-n")
    assert not list(study.root.glob("data/**/*.h5"))
    answer = study("data", "make-example", "majaj_2015", "--images", "64", "--size", "39", "--neurons", "3")
    assert "IT_data.h5 written: 64 train, 8 val, 8 test images of 39×39, 3 neurons." in answer.stdout
    assert "make-example" in study("data").stdout
    answer = study("data", "convert", "majaj_2015")
    assert "3 files to convert: " in answer.stdout
    assert " needed, " in answer.stdout
    assert "All images are converted already." in study("data", "convert", "majaj_2015").stdout
    assert nf.datasets.load("majaj_2015", study.root / "data").n_neurons == 3
