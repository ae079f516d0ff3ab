"""Which macaque images show the same photograph."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, rotate

from neurofit.datasets import load
from neurofit.datasets.recordings import duplicates
from neurofit.datasets.recordings.duplicates import likeness, linked, rotated_copies

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "photograph-groups"
FIRST = "macaque_v1/01mean50ms_smallim_d2_crop.mat"


def smooth_images(count):
    noise = np.random.default_rng(0).normal(size=(count, 65, 65))
    return np.array([gaussian_filter(one, 3) for one in noise])


def middle(image):
    return image[16:49, 16:49]


def test_copies_are_found_in_steps_of_45_degrees_and_not_between():
    for degrees in range(45, 360, 45):
        images = [middle(one) for one in smooth_images(3)]
        turned = middle(rotate(smooth_images(3)[1], degrees, reshape=False, order=3))
        assert rotated_copies(np.array([*images, turned])).tolist() == [0, 1, 2, 1], degrees
    between = middle(rotate(smooth_images(3)[1], 22.5, reshape=False, order=3))
    assert rotated_copies(np.array([middle(one) for one in smooth_images(3)] + [between])).tolist() == [
        0,
        1,
        2,
        3,
    ]


def test_corners_outside_the_common_disc_do_not_matter():
    first = middle(smooth_images(1)[0])
    y, x = np.mgrid[:33, :33] - 16
    other = np.where(y**2 + x**2 <= 16**2, first, 100.0)
    assert likeness(np.array([first, other]))[0, 1] > 0.999


@pytest.mark.process
def test_the_table_is_what_the_script_computes(recordings):
    told = subprocess.run(
        [sys.executable, SCRIPT, recordings / FIRST, "--check"], capture_output=True, text=True
    )
    assert told.returncode == 0, told.stdout + told.stderr
    assert "alike > 0.80: 229 images have a copy, 94 groups" in told.stdout
    assert "alike > 0.90: 179 images have a copy, 141 groups" in told.stdout


def test_the_published_images_have_the_tables_groups(recordings):
    dataset = load("macaque_v1/03", recordings)
    rows = [line.split(",") for line in duplicates.PATH.read_text().splitlines()[1:]]
    assert dataset.groups.tolist() == [int(group) for _, _, group in rows]
    assert len(rows) == 270


def test_images_that_are_not_the_published_ones_are_grouped_by_what_they_show():
    image = np.round(127 + 100 * middle(smooth_images(1)[0]) / np.abs(smooth_images(1)).max()).astype(
        np.uint8
    )
    assert duplicates.groups(np.array([image, np.rot90(image), 255 - image])).tolist() == [0, 0, 1]


def test_groups_hang_together_by_way_of_others():
    alike = np.eye(4, dtype=bool)
    alike[0, 2] = alike[2, 0] = alike[2, 3] = alike[3, 2] = True
    assert linked(alike).tolist() == [0, 1, 0, 0]
