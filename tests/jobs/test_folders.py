"""What is taken of a folder, what is passed over, and that this is said and counted."""

import os
import shutil
from pathlib import PurePath

import pytest

from hprnet_rt.building.calibration import calibration_inputs
from hprnet_rt.video.folder import entry_kind
from tests import clips
from tests.sentences import is_one_sentence

WRONG_USAGE = 2


@pytest.fixture
def photo(tmp_path):
    return clips.make_jpeg_on_its_side(tmp_path / "photo.jpg")


def put(photo, folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, path)
    return folder


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


JUNK = ("._IMG_1.jpg", "__MACOSX/IMG_1.jpg", ".thumbnails/7.jpg", "@eaDir/IMG_1.jpg/SYNOPHOTO_THUMB_XL.jpg")


def test_stick_of_a_mac_or_nas_gives_its_photos_only(annotate_small, photo, tmp_path, caplog):
    folder = put(
        photo, tmp_path / "in", "IMG_1.jpg", "sub/IMG_2.jpg", "sub/._IMG_2.jpg", "GX010001.LRV", *JUNK
    )
    (folder / "._IMG_1.jpg").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X        ")
    code, _, err = annotate_small(folder, "-o", tmp_path / "out", "--no-keypoints")
    assert (code, err) == (0, "")
    assert names(tmp_path / "out") == ["IMG_1.jpg", "sub/IMG_2.jpg"]
    assert [text for text in caplog.messages if "passed over" in text] == [
        f"{folder}: passed over 2 hidden files, 3 hidden folders and 1 file of other kinds (.lrv); "
        "what is named is taken"
    ]


def test_what_hides_itself_is_taken_where_it_is_named(annotate_small, photo, tmp_path, monkeypatch, caplog):
    folder = put(photo, tmp_path / "in", ".hidden.jpg", "@eaDir/1.jpg", ".thumbnails/2.jpg", "a/@eaDir/3.jpg")
    monkeypatch.chdir(folder)
    for n, named in enumerate((".hidden.jpg", "@eaDir", ".thumbnails", "@eaDir/*.jpg", ".*.jpg")):
        out = tmp_path / f"out{n}"
        assert annotate_small(named, "-o", out, "--no-keypoints")[0] == 0
        assert len(names(out)) == 1
    assert "passed over" not in caplog.text


def test_pattern_passes_over_the_folders_of_systems(annotate_small, photo, tmp_path, monkeypatch, caplog):
    folder = put(photo, tmp_path / "in", "a/1.jpg", *(f"a/{name}" for name in JUNK))
    monkeypatch.chdir(folder)
    assert annotate_small("**/*.jpg", "-o", tmp_path / "out", "--no-keypoints")[0] == 0
    assert names(tmp_path / "out") == ["a/1.jpg"]
    assert "passed over 2 hidden files" in caplog.text


def test_everything_of_other_kinds_is_counted(annotate_small, photo, tmp_path, caplog):
    more = ("a.txt", "b.txt", "c.AAE", "d.dng", "notes", "x.pdf", "y.doc", "old.partial.mp4")
    folder = put(photo, tmp_path / "in", "1.jpg", *more)
    assert annotate_small(folder, "-o", tmp_path / "out", "--no-keypoints")[0] == 0
    (said,) = (text for text in caplog.messages if "passed over" in text)
    assert "1 unfinished output and 7 files of other kinds (.txt x 2, " in said
    assert "and 2 more)" in said


def test_links_to_nothing_and_pipes_are_counted(annotate_small, photo, tmp_path, caplog):
    folder = put(photo, tmp_path / "in", "1.jpg")
    (folder / "gone.mp4").symlink_to(tmp_path / "nothing.mp4")
    os.mkfifo(folder / "pipe.mp4")
    assert annotate_small(folder, "-o", tmp_path / "out", "--no-keypoints")[0] == 0
    assert names(tmp_path / "out") == ["1.jpg"]
    assert "passed over 2 files of other kinds (broken link, pipe or device)" in caplog.text


def test_nothing_is_said_where_nothing_is_passed_over(annotate_small, photo, tmp_path, caplog):
    folder = put(photo, tmp_path / "in", "1.jpg")
    assert annotate_small(folder, "-o", tmp_path / "out")[0] == 0
    assert not caplog.messages


def test_folder_of_hidden_files_only_holds_nothing(annotate_small, photo, tmp_path):
    folder = put(photo, tmp_path / "in", *JUNK)
    code, _, err = annotate_small(folder, "-o", tmp_path / "out")
    assert code == WRONG_USAGE
    assert is_one_sentence(err, folder, "holds no video or image")


def test_calibration_passes_over_the_same(photo, tmp_path):
    folder = put(photo, tmp_path / "in", "1.jpg", "._1.jpg", "notes.txt")
    assert len(calibration_inputs(folder, 64, 8)) == 1


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("IMG.HEIC", "media"),
        ("clip.MXF", "media"),
        ("a.b/clip.mp4", "media"),
        ("a..jpg", "media"),
        ("#recycle/a.jpg", "hidden"),
        ("$RECYCLE.BIN/S-1/a.mp4", "hidden"),
        ("a/.Trashes/b.mp4", "hidden"),
        ("System Volume Information/a.mp4", "hidden"),
        ("Thumbs.db", "hidden"),
        ("GX010001.LRV", "other"),
        ("GX010001.THM", "other"),
        ("clip.partial.mp4", "unfinished"),
        ("clip.partial.jsonl", "other"),
    ],
)
def test_kind_of_an_entry(place, kind):
    assert entry_kind(PurePath(place)) == kind
