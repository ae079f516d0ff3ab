import io
import tarfile
from functools import cache

import numpy as np
import pytest
from scipy.io import savemat

from neurofit.datasets import add
from neurofit.errors import DataError, NameUnknown

NAME = "{:02d}mean50ms_smallim_d2_crop.mat"


@cache  # a MATLAB file holds the second at which it was written
def recording(seed: int = 0) -> bytes:
    rng = np.random.default_rng(seed)
    file = io.BytesIO()
    savemat(file, {"images": rng.integers(0, 255, (6, 9, 9), dtype=np.uint8), "activity": rng.random((6, 2))})
    return file.getvalue()


@pytest.fixture
def folder(tmp_path):
    """Two recordings below a folder, and files that are none."""
    deep = tmp_path / "download" / "v1" / "data"
    deep.mkdir(parents=True)
    for number in (1, 2):
        (deep / NAME.format(number)).write_bytes(recording(number))
    (deep / ("._" + NAME.format(1))).write_bytes(b"what a Mac leaves in archives")
    (deep / "README").write_text("read me")
    return tmp_path / "download"


@pytest.fixture
def data(tmp_path):
    return tmp_path / "study" / "data"


def archive(path, members: dict[str, bytes]):
    with tarfile.open(path, "w:gz") as file:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    return path


def names(data) -> list[str]:
    return (
        sorted(str(path.relative_to(data)) for path in data.rglob("*") if path.is_file())
        if data.exists()
        else []
    )


def test_files_are_found_anywhere_in_a_folder(folder, data):
    paths = add("macaque_v1", folder, data)
    assert paths == [data / "macaque_v1" / NAME.format(number) for number in (1, 2)]
    assert all(path.is_file() for path in paths)
    assert len(names(data)) == 2


def test_files_are_found_in_an_archive(tmp_path, data):
    source = archive(
        tmp_path / "data.tar.gz", {f"data/{NAME.format(7)}": recording(), "data/notes.txt": b"x"}
    )
    assert add("macaque_v1", source, data) == [data / "macaque_v1" / NAME.format(7)]
    assert names(data) == [f"macaque_v1/{NAME.format(7)}"]


def test_one_file_can_be_added_by_its_path(folder, data):
    assert len(add("macaque_v1", folder / "v1" / "data" / NAME.format(2), data)) == 1


def test_a_region_keeps_its_folder_and_may_lack_its_training_images(tmp_path, data):
    source = tmp_path / "supplement" / "Data" / "region2"
    source.mkdir(parents=True)
    for name in ("validation_inputs", "validation_set"):
        np.save(source / f"{name}.npy", np.ones((4, 9)))
    assert add("antolik_2016", tmp_path / "supplement", data) == [
        data / "antolik_2016" / "region2" / f"{name}.npy" for name in ("validation_inputs", "validation_set")
    ]


def test_a_dry_run_says_what_would_be_new_and_writes_nothing(folder, data):
    assert len(add("macaque_v1", folder, data, dry_run=True)) == 2
    assert not data.exists()


def test_adding_twice_adds_nothing(folder, data):
    add("macaque_v1", folder, data)
    assert add("macaque_v1", folder, data) == []


def test_a_different_file_in_place_is_kept_and_nothing_is_added(folder, data):
    other = data / "macaque_v1" / NAME.format(2)
    other.parent.mkdir(parents=True)
    other.write_bytes(recording(9))
    with pytest.raises(DataError, match=rf"{other} already exists and differs .* Nothing was added"):
        add("macaque_v1", folder, data)
    assert other.read_bytes() == recording(9)
    assert names(data) == [f"macaque_v1/{NAME.format(2)}"]


def test_one_damaged_file_keeps_all_of_them_out(folder, data):
    damaged = folder / "v1" / "data" / NAME.format(2)
    damaged.write_bytes(recording()[:-40])
    with pytest.raises(
        DataError, match=rf"{NAME.format(2)} is not added: .*cannot be read as a MATLAB 5 file"
    ):
        add("macaque_v1", folder, data)
    assert names(data) == []


def test_an_incomplete_archive_is_reported_as_such(tmp_path, data):
    source = archive(tmp_path / "data.tar.gz", {NAME.format(1): recording(), NAME.format(2): recording(2)})
    source.write_bytes(source.read_bytes()[:-400])
    with pytest.raises(DataError, match=r"data\.tar\.gz cannot be read as an archive"):
        add("macaque_v1", source, data)
    assert names(data) == []


def test_an_archive_cannot_write_outside_of_its_place(tmp_path, data):
    members = {f"../../../{NAME.format(1)}": recording(), f"/tmp/{NAME.format(2)}": recording()}
    source = archive(tmp_path / "evil.tar.gz", members)
    assert add("macaque_v1", source, data) == [data / "macaque_v1" / NAME.format(2)]
    assert sorted(path.name for path in tmp_path.rglob("*.mat")) == [NAME.format(2)]


def test_links_in_an_archive_are_not_followed(tmp_path, data):
    with tarfile.open(tmp_path / "links.tar.gz", "w:gz") as file:
        link = tarfile.TarInfo(NAME.format(1))
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(link)
    with pytest.raises(DataError, match="contains no files of macaque_v1"):
        add("macaque_v1", tmp_path / "links.tar.gz", data)


def test_two_files_for_one_place_are_not_guessed_between(folder, data):
    twin = folder / "again" / NAME.format(1)
    twin.parent.mkdir()
    twin.write_bytes(recording(5))
    with pytest.raises(DataError, match=rf"holds {NAME.format(1)} twice"):
        add("macaque_v1", folder, data)


def test_nothing_of_that_kind_says_what_files_look_like(tmp_path, data):
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        DataError, match=r"contains no files of antolik_2016\. Expected files such as region1/train"
    ):
        add("antolik_2016", tmp_path / "empty", data)


def test_an_unknown_kind_or_a_source_that_is_not_there_is_reported(tmp_path, data):
    with pytest.raises(NameUnknown, match=r"No kind of recording 'macaque'.*Did you mean 'macaque_v1'"):
        add("macaque", tmp_path, data)
    with pytest.raises(DataError, match="nowhere: no such file or folder"):
        add("macaque_v1", tmp_path / "nowhere", data)


def test_a_place_that_cannot_be_written_to_is_a_data_error(folder, data):
    data.parent.mkdir()
    data.write_text("a file where the folder should be")
    with pytest.raises(DataError, match=rf"download cannot be added to {data}/macaque_v1: .*File exists"):
        add("macaque_v1", folder, data)


def test_the_shared_recordings_can_be_added(recordings, data):
    assert len(add("macaque_v1", recordings, data)) == 6
    assert len(add("antolik_2016", recordings, data)) == 12
