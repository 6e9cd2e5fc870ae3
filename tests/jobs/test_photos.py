"""A photo in gives a photo out: its kind, its transparency, what is written on it, and upright once."""

import builtins
import sys

import cv2
import numpy as np
import pytest

from hprnet_rt import cli
from hprnet_rt.video import ImageSource
from tests import clips
from tests.media import photos
from tests.media.photos import Image
from tests.sentences import is_one_sentence

FAILED = 1
LOSSY = 3  # grey levels on average that one generation of a lossy kind may cost


def annotate_one(run, source, tmp_path, *more):
    """Annotate a photo, and return the photo that comes out."""
    code, _, err = run(source, "-o", tmp_path / "out", *more)
    assert (code, err) == (0, "")
    (picture,) = (path for path in (tmp_path / "out").iterdir() if path.suffix != ".jsonl")
    return picture


# --- kinds ---


@pytest.mark.parametrize("name", ["IMG_0001.HEIC", "a.avif", "b.jfif", "c.JPE", "d.jp2", "e.HIF", "f.heif"])
def test_photo_of_every_kind_gives_a_photo_of_its_kind(annotate_small, tmp_path, name):
    image = photos.people()
    kind = {".heic": "heic", ".hif": "heic", ".heif": "heic", ".avif": "avif", ".jp2": "png"}
    suffix = (tmp_path / name).suffix.lower()
    made = photos.save(tmp_path / f"made.{kind.get(suffix, 'jpg')}", image)
    if suffix == ".jp2":
        assert cv2.imwrite(str(tmp_path / name), cv2.imread(str(made)))
        made.unlink()
    else:
        made.rename(tmp_path / name)
    out = annotate_one(annotate_small, tmp_path / name, tmp_path)
    assert out.name == (tmp_path / name).stem + suffix
    assert np.median(np.abs(photos.pixels(out).astype(int) - np.asarray(image))) < LOSSY
    header, frames = clips.read_keypoints(out.with_suffix(".jsonl"))
    assert (header["width"], header["height"], len(frames)) == (480, 270, 1)


def test_folder_of_a_phone_loses_no_photo(annotate_small, tmp_path):
    folder = tmp_path / "DCIM"
    folder.mkdir()
    for n, kind in enumerate(photos.KINDS):
        photos.save(folder / f"IMG_{n}.{kind.upper()}", photos.corner())
    code, said, _ = annotate_small(folder, "-o", tmp_path / "out")
    assert code == 0
    assert f"{len(photos.KINDS)} files: {len(photos.KINDS)} done" in said
    found = {path.suffix for path in (tmp_path / "out").iterdir()}
    assert found == {".jsonl", *(f".{kind}" for kind in photos.KINDS)}


@pytest.mark.parametrize(
    ("kind", "named"),
    [("heic", "a.jpg"), ("jpg", "a.heic"), ("jpg", "a.jpg_large"), ("png", "a"), ("jpg", "a.mp4")],
)
def test_photo_is_known_by_its_content_whatever_its_name(annotate_small, tmp_path, kind, named):
    source = photos.save(tmp_path / f"made.{kind}", photos.corner()).rename(tmp_path / named)
    out = annotate_one(annotate_small, source, tmp_path)
    assert out.suffix == {"a": ".png", "a.jpg_large": ".jpg", "a.mp4": ".jpg"}.get(named, source.suffix)
    assert clips.corners(photos.pixels(out)) == {"upper left"}


def test_other_kind_is_written_where_it_is_named(annotate_small, tmp_path):
    source = photos.save(
        tmp_path / "a.heic", photos.corner(), exif=photos.exif(), icc_profile=photos.profile()
    )
    assert annotate_small(source, "-o", tmp_path / "b.jpg")[0] == 0
    said, details, profile = photos.written_on(tmp_path / "b.jpg")
    assert (said[photos.MAKER], details[photos.TAKEN]) == ("Maker", "2024:05:06 07:08:09")
    assert profile == photos.profile()


@pytest.mark.parametrize("name", ["a.heic", "a.avif"])
def test_package_that_is_missing_is_named(annotate_small, tmp_path, monkeypatch, name):
    source = photos.save(tmp_path / name, photos.corner())
    usual = builtins.__import__

    def without(module, *arguments):
        if module.startswith(("PIL", "pillow_heif")):
            raise ImportError(module)
        return usual(module, *arguments)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.delitem(sys.modules, "pillow_heif")
    code, _, err = annotate_small(source, "-o", tmp_path / "out")
    assert code == FAILED
    assert is_one_sentence(err, name, 'pip install "hprnet-rt[photos]"')


@pytest.mark.parametrize("kind", ["heic", "avif", "jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("part", [0.02, 0.5, 0.9])
def test_photo_that_is_cut_off_is_one_sentence(annotate_small, tmp_path, kind, part):
    source = photos.save(tmp_path / f"a.{kind}", photos.people())
    clips.cut(source, part)
    code, _, err = annotate_small(source, "-o", tmp_path / "out")
    assert code == FAILED
    assert is_one_sentence(err, source)


@pytest.mark.parametrize("name", ["a.dng", "a.CR2", "a.tga", "a.jxl"])
def test_image_of_a_kind_that_is_not_read_becomes_no_video(annotate_small, tmp_path, name):
    source = photos.save(tmp_path / "a.tif", photos.corner()).rename(tmp_path / name)
    code, _, err = annotate_small(source, "-o", tmp_path / "out")
    assert code == FAILED
    assert is_one_sentence(err, source, "save it as JPEG")


@pytest.mark.parametrize("name", ["a.ppm", "a.pgm"])
def test_netpbm_gives_a_photo(annotate_small, tmp_path, name):
    source = tmp_path / name
    photos.corner().convert("RGB" if name == "a.ppm" else "L").save(source)
    out = annotate_one(annotate_small, source, tmp_path)
    assert out.suffix == (".ppm" if name == "a.ppm" else ".png")
    assert clips.corners(photos.pixels(out)) == {"upper left"}


@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_with_other_bytes_in_it_is_called_damaged(annotate_small, tmp_path, progressive):
    source = photos.save(tmp_path / "a.jpg", photos.people(), progressive=progressive)
    assert annotate_small(source, "-o", tmp_path / "whole")[0] == 0
    data = bytearray(source.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400] = bytes(n % 255 for n in range(400))
    source.write_bytes(data)
    code, _, err = annotate_small(source, "-o", tmp_path / "out")
    assert code == FAILED
    assert f"{source} is damaged" in err.splitlines()[-1]  # libjpeg may have said something, too
    assert (tmp_path / "out" / "a.jpg").exists()
    assert "is damaged" in (tmp_path / "out" / "a.damage.txt").read_text()


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize(
    "more", [{}, {"progressive": True}, {"restart_marker_rows": 1}, {"subsampling": "4:2:2"}]
)
@pytest.mark.parametrize("size", [(240, 135), (33, 17), (1, 1)])
def test_whole_jpeg_is_not_called_damaged(tmp_path, mode, more, size):
    source = photos.save(tmp_path / "a.jpg", photos.people(size).convert(mode), **more)
    assert ImageSource(source).damage is None
    source.write_bytes(source.read_bytes() * 2 + b"what some phones append")
    assert ImageSource(source).damage is None


# --- transparency ---


def with_a_hole(mode="RGBA"):
    """A grey picture, whose right half is transparent and hides black."""
    image = np.full((96, 160, 4), 120, np.uint8)
    image[..., 3] = 255
    image[:, 80:] = 0
    image[:, 79, 3] = 128
    return Image.fromarray(image).convert(mode)


@pytest.mark.parametrize("kind", ["png", "webp", "tif", "heic", "avif"])
def test_what_is_transparent_is_white_for_the_network_and_stays_transparent(annotate_small, tmp_path, kind):
    source = photos.save(tmp_path / f"a.{kind}", with_a_hole())
    (frame,) = ImageSource(source)
    assert frame.image[40, 120].tolist() == pytest.approx([255, 255, 255], abs=LOSSY)
    assert frame.image[40, 79].tolist() == pytest.approx([187, 187, 187], abs=2 * LOSSY)
    out = annotate_one(annotate_small, source, tmp_path)
    before, after = photos.pixels(source, "RGBA"), photos.pixels(out, "RGBA")
    assert np.abs(before[..., 3].astype(int) - after[..., 3]).max() <= LOSSY
    assert np.abs(before[:, :79].astype(int) - after[:, :79]).max() <= 2 * LOSSY
    if kind in ("png", "webp"):
        assert np.array_equal(before, after)


def test_skeletons_on_what_is_transparent_are_seen(tmp_path):
    sample = np.asarray(photos.people((1280, 720)))
    image = np.dstack([sample, np.zeros(sample.shape[:2], np.uint8)])
    image[:, :640, 3] = 255
    source = photos.save(tmp_path / "half.png", Image.fromarray(image))
    keypoints, out = tmp_path / "kp.jsonl", tmp_path / "out.png"
    whole = photos.save(tmp_path / "whole.png", Image.fromarray(sample))
    assert cli.main(["annotate", str(whole), "-o", str(keypoints), "--no-video", "-q"]) == 0
    assert cli.main(["render", str(source), str(keypoints), "-o", str(out), "-q"]) == 0
    after = photos.pixels(out, "RGBA")
    drawn = after[:, 640:, 3] == 255
    assert 0 < drawn.mean() < 0.5
    assert np.array_equal(after[:, 640:][~drawn], image[:, 640:][~drawn])


@pytest.mark.parametrize("mode", ["palette", "grey and alpha", "grey with a level"])
def test_other_ways_to_be_transparent_are_white_too(tmp_path, mode):
    if mode == "palette":
        few = with_a_hole("RGB").quantize(4)
        source = photos.save(tmp_path / "a.png", few, transparency=few.getpixel((120, 40)))
    elif mode == "grey and alpha":
        source = photos.save(tmp_path / "a.png", with_a_hole("LA"))
    else:
        source = photos.save(tmp_path / "a.png", with_a_hole("L"), transparency=0)
    (frame,) = ImageSource(source)
    assert frame.image[40, 120].tolist() == [255, 255, 255]
    assert frame.image[40, 40].tolist() == [120, 120, 120]


@pytest.mark.parametrize(
    "mode", ["16 bits", "16 bits grey", "16 bits transparent", "grey", "CMYK", "palette", "bits"]
)
def test_other_depths_and_kinds_of_pixels_are_seen_as_they_are(annotate_small, tmp_path, mode):
    image = np.asarray(photos.corner())
    if mode.startswith("16"):
        path = tmp_path / "a.png"
        deep = image.astype(np.uint16) * 257
        deep = {"16 bits grey": deep[..., 0], "16 bits transparent": np.dstack([deep, deep[..., 0]])}.get(
            mode, deep
        )
        assert cv2.imwrite(str(path), deep)
    else:
        kind, name = {"grey": ("L", "a.jpg"), "CMYK": ("CMYK", "a.jpg"), "palette": ("P", "a.png")}.get(
            mode, ("1", "a.png")
        )
        path = photos.save(tmp_path / name, Image.fromarray(image).convert(kind))
    out = annotate_one(annotate_small, path, tmp_path)
    assert clips.corners(photos.pixels(out, "RGBA")[..., :3]) == {"upper left"} or "transparent" in mode


# --- what is written on a photo ---


@pytest.mark.parametrize("kind", photos.KINDS)
def test_exif_and_colour_profile_are_kept(annotate_small, tmp_path, kind):
    source = photos.save(
        tmp_path / f"a.{kind}", photos.corner(), exif=photos.exif(), icc_profile=photos.profile()
    )
    before = photos.written_on(source)
    assert before[0][photos.MAKER] == "Maker"
    said, details, profile = photos.written_on(annotate_one(annotate_small, source, tmp_path))
    for tag in (photos.MAKER, photos.DESCRIPTION):
        assert said[tag] == before[0][tag]
    assert said.get(photos.ORIENTATION, 1) == 1
    assert details[photos.TAKEN] == before[1][photos.TAKEN]
    assert profile == photos.profile()


@pytest.mark.parametrize("kind", photos.KINDS)
def test_metadata_is_left_out_where_that_is_asked_for(annotate_small, tmp_path, kind):
    source = photos.save(
        tmp_path / f"a.{kind}", photos.corner(), exif=photos.exif(), icc_profile=photos.profile()
    )
    out = annotate_one(annotate_small, source, tmp_path, "--strip-metadata")
    said, details, profile = photos.written_on(out)
    assert photos.MAKER not in said
    assert (details, profile) == ({}, None)
    assert b"Maker" not in out.read_bytes()


@pytest.mark.parametrize("hiding", [("--blur", "faces"), ("--only", "skeleton")])
def test_photo_with_something_hidden_keeps_nothing_that_may_show_it(annotate_small, tmp_path, hiding):
    said = {"exif": photos.exif(), "icc_profile": photos.profile()}
    source = photos.save(tmp_path / "a.jpg", photos.corner(), **said)
    out = annotate_one(annotate_small, source, tmp_path, *hiding)
    rendered = tmp_path / "b.jpg"
    drawn = [str(source), str(tmp_path / "out" / "a.jsonl"), "-o", str(rendered), "-q", *hiding]
    assert cli.main(["render", *drawn]) == 0
    for path in (out, rendered):
        assert photos.written_on(path) == ({}, {}, photos.profile())
        assert b"Maker" not in path.read_bytes()


def test_photo_with_something_hidden_has_no_colours_where_it_is_transparent(annotate_small, tmp_path):
    red = Image.new("RGBA", (160, 96), (255, 0, 0, 0))
    out = annotate_one(annotate_small, photos.save(tmp_path / "a.png", red), tmp_path, "--blur", "faces")
    assert (photos.pixels(out, "RGBA") == (255, 255, 255, 0)).all()


def test_rendered_photo_keeps_its_metadata_too(annotate_small, tmp_path):
    source = photos.save(tmp_path / "a.jpg", photos.corner(), exif=photos.exif())
    assert annotate_small(source, "-o", tmp_path / "kp.jsonl", "--no-video")[0] == 0
    for more, kept in ((), True), (("--strip-metadata", "--overwrite"), False):
        drawn = [str(source), str(tmp_path / "kp.jsonl"), "-o", str(tmp_path / "b.jpg"), "-q", *more]
        assert cli.main(["render", *drawn]) == 0
        assert (photos.MAKER in photos.written_on(tmp_path / "b.jpg")[0]) == kept


@pytest.mark.parametrize("kind", photos.TURNED_KINDS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_photo_is_turned_once(annotate_small, tmp_path, kind, orientation):
    image = photos.turned(photos.corner(), orientation)
    source = photos.save(
        tmp_path / f"a.{kind}", image, exif=photos.exif(orientation=orientation, size=image.size)
    )
    out = annotate_one(annotate_small, source, tmp_path)
    again = annotate_one(annotate_small, out, tmp_path / "again")
    for each in (out, again):
        said, details, _ = photos.written_on(each)
        assert said.get(photos.ORIENTATION, 1) == 1
        assert said[photos.DESCRIPTION] == "on the bridge"
        assert photos.pixels(each).shape == (96, 160, 3)
        assert clips.corners(photos.pixels(each)) == {"upper left"}
        if kind != "tif":
            assert (details[photos.PIXEL_WIDTH], details[photos.PIXEL_HEIGHT]) == (160, 96)


@pytest.mark.parametrize("orientation", [6, 8, 3])
def test_avif_that_is_stored_on_its_side_is_turned_once(annotate_small, tmp_path, orientation):
    image = photos.turned(photos.corner(), orientation)
    source = photos.save(tmp_path / "a.avif", image, exif=photos.exif(orientation=orientation))
    out = annotate_one(annotate_small, source, tmp_path)
    assert photos.written_on(out)[0].get(photos.ORIENTATION, 1) == 1
    assert clips.corners(photos.pixels(out)) == {"upper left"}


def test_xmp_says_that_a_turned_photo_is_upright(annotate_small, tmp_path):
    image = photos.turned(photos.corner(), 6)
    source = photos.save(tmp_path / "a.jpg", image, exif=photos.exif(orientation=6), xmp=photos.xmp(6))
    out = annotate_one(annotate_small, source, tmp_path).read_bytes()
    assert photos.xmp(1) in out
    assert photos.xmp(6) not in out


def test_comments_resolution_and_iptc_of_a_jpeg_stay(annotate_small, tmp_path):
    iptc = b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x09\x1c\x02\x78\0\x04text\0"
    source = photos.jpeg_with_segments(
        tmp_path / "a.jpg", photos.corner(), (0xFE, "Grüße".encode()), (0xED, iptc)
    )
    data = annotate_one(annotate_small, source, tmp_path).read_bytes()
    assert "Grüße".encode() in data
    assert iptc in data


def test_texts_and_resolution_of_a_png_stay(annotate_small, tmp_path):
    from PIL.PngImagePlugin import PngInfo

    said = PngInfo()
    said.add_text("Title", "bridge")
    said.add_itxt("Author", "Öykü")
    source = photos.save(tmp_path / "a.png", photos.corner(), pnginfo=said, dpi=(300, 300))
    with Image.open(annotate_one(annotate_small, source, tmp_path)) as image:
        assert (image.text["Title"], image.text["Author"]) == ("bridge", "Öykü")
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def test_profile_of_other_colours_is_not_put_on_rgb(annotate_small, tmp_path):
    grey = bytearray(photos.profile())
    grey[16:20] = b"GRAY"
    source = photos.save(tmp_path / "a.jpg", photos.corner().convert("L"), icc_profile=bytes(grey))
    assert photos.written_on(annotate_one(annotate_small, source, tmp_path))[2] is None


def test_long_profile_goes_over_several_segments(annotate_small, tmp_path):
    profile = photos.profile() + np.random.default_rng(0).bytes(150_000)
    source = photos.save(tmp_path / "a.jpg", photos.corner(), icc_profile=profile)
    assert photos.written_on(annotate_one(annotate_small, source, tmp_path))[2] == profile


@pytest.mark.parametrize("name", ["a.bmp", "a.jp2"])
def test_kind_that_cannot_hold_metadata_says_so(annotate_small, tmp_path, caplog, name):
    source = photos.save(
        tmp_path / "b.jpg", photos.corner(), exif=photos.exif(), icc_profile=photos.profile()
    )
    assert annotate_small(source, "-o", tmp_path / name)[0] == 0
    assert "without EXIF, colour profile" in caplog.text


@pytest.mark.parametrize("name", ["a.jpg", "a.jp2"])
def test_kind_that_cannot_be_transparent_says_so(annotate_small, tmp_path, caplog, name):
    image = photos.people()
    image.putalpha(image.convert("L"))
    source = photos.save(tmp_path / "b.png", image)
    assert annotate_small(source, "-o", tmp_path / name)[0] == 0
    assert "without transparency" in caplog.text


@pytest.mark.parametrize("kind", ["two pictures", "moving"])
def test_jpeg_with_more_in_it_says_that_only_its_picture_is_taken(annotate_small, tmp_path, caplog, kind):
    source, image = tmp_path / "photo.jpg", photos.corner()
    if kind == "moving":
        clip = clips.make(tmp_path / "moment.mp4", frames=3)
        source.write_bytes(photos.save(source, image).read_bytes() + clip.read_bytes())
    else:
        image.save(source, "MPO", save_all=True, append_images=[image])
    assert annotate_small(source, "-o", tmp_path / "out")[0] == 0
    assert f"{source} has more in it than one picture" in caplog.text


@pytest.mark.parametrize(
    "exif", [b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff", b"nonsense" * 9]
)
def test_exif_that_makes_no_sense_does_no_harm(annotate_small, tmp_path, exif):
    source = photos.jpeg_with_segments(tmp_path / "a.jpg", photos.corner(), (0xE1, b"Exif\0\0" + exif))
    assert clips.corners(photos.pixels(annotate_one(annotate_small, source, tmp_path))) == {"upper left"}
