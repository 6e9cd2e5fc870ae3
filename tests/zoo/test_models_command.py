"""`hprnet-rt models` against a local web server: what is fetched, refused, continued and reported."""

import dataclasses
import hashlib
import json
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import types
from pathlib import Path
from urllib.parse import urlsplit

import pytest

pytest.importorskip("torch", reason="the extra train is not installed")  # conversions, after each pull

from hprnet_rt import cli
from hprnet_rt.backends import ModelFile
from hprnet_rt.errors import ModelError
from hprnet_rt.onnx_file import only_outputs
from hprnet_rt.spec import SPECS
from hprnet_rt.zoo import cache, fetch
from hprnet_rt.zoo.networks import ZOO
from tests import disks
from tests.sentences import is_one_sentence
from tests.zoo import web

DLA34 = "hprnet-dla34"
FILE = f"/{DLA34}.pth"
SAMPLE = Path(__file__).parents[2] / "demos" / "sample.jpg"
CHECKPOINT = web.checkpoint()
OTHER = web.checkpoint(seed=1)
HALF = len(CHECKPOINT) // 2
DONE, FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130


def sha256(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def server(monkeypatch):
    """The mirror, which has the checkpoint."""
    with web.serving() as made:
        made.pages[FILE] = web.Page(CHECKPOINT)
        monkeypatch.setenv("HPRNET_RT_MIRROR", made.url + "/")
        monkeypatch.setattr(fetch, "_RETRIES", 0)
        yield made


@pytest.fixture(autouse=True)
def converted(monkeypatch):
    """Checkpoints that a stand-in of the converter was given."""
    module = types.ModuleType("hprnet_rt.model.convert")
    calls = []

    def convert_checkpoint(name, checkpoint, onnx_path, *, k):
        calls.append(checkpoint.read_bytes())
        if not calls[-1]:
            raise ModelError("empty")
        onnx_path.write_bytes(only_outputs(ModelFile.find("hprnet-mobile").path.read_bytes(), ("peaks",)))

    module.convert_checkpoint = convert_checkpoint
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return calls


@pytest.fixture
def run(capfd):
    """The command line in this process: (exit code, stdout, stderr)."""

    def run(*arguments):
        code = cli.main(list(map(str, arguments)))
        return code, *capfd.readouterr()

    return run


@pytest.fixture
def pull(run):
    return lambda *arguments: run("models", "pull", DLA34, *arguments)


def stored():
    path = cache.checkpoint_path(DLA34)
    return path.read_bytes() if path.exists() else None


def parts(own_cache):
    return [path for path in own_cache.rglob("*") if path.suffix == ".part"]


# --- list, info, remove ---


@pytest.mark.parametrize("arguments", [("models",), ("models", "list")])
def test_list_shows_every_network_and_where_its_weights_are(run, arguments, own_cache):
    code, out, err = run(*arguments)
    assert (code, err) == (DONE, "")
    lines = {line.split()[0]: line for line in out.splitlines() if line.startswith("hprnet-")}
    assert list(lines) == list(ZOO)
    assert "shipped" in lines["hprnet-mobile"]
    assert "not here" in lines[DLA34]
    assert "21.13 M" in lines[DLA34]
    assert "none published" in lines["hprnet-dla34-hm1"]
    assert not own_cache.exists()


def test_list_for_programs(run, server, pull):
    pull()
    code, out, _ = run("models", "list", "--json")
    assert code == DONE
    networks = {facts["name"]: facts for facts in json.loads(out)}
    assert list(networks)[: len(ZOO)] == list(ZOO)
    assert networks[DLA34]["parameters"] == ZOO[DLA34].parameters
    assert networks[DLA34]["weights"] == "imported"
    assert {"path": str(cache.checkpoint_path(DLA34)), "bytes": len(CHECKPOINT)} in networks[DLA34]["files"]


@pytest.mark.parametrize("name", list(ZOO))
def test_info_tells_everything_of_a_network(run, name):
    code, out, err = run("models", "info", name)
    assert (code, err) == (DONE, "")
    text = " ".join(out.split())
    for joint in SPECS[name].joints:
        assert joint in text
    for head in SPECS[name].heads:
        assert f"{head.name} ({head.channels})" in text
    assert ZOO[name].terms in text
    assert ZOO[name].page in text
    assert f"{ZOO[name].parameters:,}" in text


def test_info_of_the_shipped_network_names_its_card(run):
    out = run("models", "info", "hprnet-mobile")[1]
    assert "hprnet-mobile.md" in out
    assert ModelFile.find("hprnet-mobile").sha256 in out


def test_info_names_the_recorded_hash_and_the_files(run, pull, server):
    pull()
    out = run("models", "info", DLA34)[1]
    assert sha256(CHECKPOINT) in out
    assert str(cache.checkpoint_path(DLA34)) in out


@pytest.mark.parametrize("action", [("info",), ("pull",), ("import",), ("remove",)])
def test_unknown_name_is_refused_with_the_known_ones(run, tmp_path, action):
    path = [tmp_path] if action == ("import",) else []
    code, _, err = run("models", *action, "openpose", *path)
    assert code == WRONG_USAGE
    assert is_one_sentence(err, "openpose", DLA34)


def test_remove_deletes_what_the_cache_has(run, pull, server, own_cache):
    pull()
    code, out, _ = run("models", "remove", DLA34)
    assert code == DONE
    assert out.count("deleted") == 5  # checkpoint, model file, their descriptions, the import record
    assert [path for path in own_cache.rglob("*") if path.is_file() and path.suffix != ".lock"] == []
    assert "nothing" in run("models", "remove", DLA34)[1]


# --- pull ---


def test_pulled_checkpoint_is_whole_recorded_and_converted(run, pull, server, converted):
    code, out, err = pull()
    assert (code, err) == (DONE, "")
    assert stored() == CHECKPOINT
    record = cache.read_record(cache.checkpoint_path(DLA34).with_suffix(".json"))
    assert record["sha256"] == sha256(CHECKPOINT)
    assert record["url"] == server.url + FILE
    assert record["size"] == len(CHECKPOINT)
    modes = {path.stat().st_mode & 0o777 for path in cache.files_of(DLA34)}
    assert len(modes) == 1  # the umask's: a lab may share the cache
    assert sha256(CHECKPOINT) in out
    assert "non-commercial" in out
    assert converted == [CHECKPOINT]
    assert "imported" in run("models")[1]
    (sidecar,) = (path for path in cache.files_of(DLA34) if path.name.endswith("k32.json"))
    assert server.url in json.loads(sidecar.read_text())["source"]


def test_second_pull_fetches_and_converts_nothing(pull, server, converted):
    pull()
    code, out, _ = pull()
    assert code == DONE
    assert "already here" in out
    assert len(server.requests) == len(converted) == 1


def test_pull_without_import_converts_at_the_first_use(run, pull, server, converted, tmp_path):
    code, *_ = pull("--no-import", "--quiet")
    assert (code, converted) == (DONE, [])
    assert "pulled" in run("models")[1]
    options = ("--model", DLA34, "--size", 64, "-q")
    assert run("annotate", SAMPLE, "-o", tmp_path / "out", *options)[0] == DONE
    assert converted == [CHECKPOINT]
    assert "imported" in run("models")[1]


def test_quiet_pull_says_nothing(pull, server):
    assert pull("--quiet") == (DONE, "", "")


def test_transfer_that_breaks_is_continued_by_the_next_pull(pull, server, own_cache, converted):
    server.pages[FILE].breaks = [HALF]
    code, _, err = pull()
    assert code == FAILED
    assert is_one_sentence(err, "the connection broke", "are kept", "same command", "models import")
    assert stored() is None
    assert converted == []
    (part,) = parts(own_cache)
    kept = part.stat().st_size
    assert 0 < kept <= HALF
    assert pull()[0] == DONE
    assert stored() == CHECKPOINT
    assert server.requests[-1] == (FILE, f"bytes={kept}-", len(CHECKPOINT) - kept)
    assert parts(own_cache) == []


def test_transfer_that_breaks_often_is_continued_in_the_same_pull(pull, server, monkeypatch):
    monkeypatch.setattr(fetch, "_RETRIES", 2)
    monkeypatch.setattr(random, "uniform", lambda _low, _high: 0.0)  # no wait between attempts
    server.pages[FILE].breaks = [HALF, web.MB]
    assert pull()[0] == DONE
    assert stored() == CHECKPOINT
    assert len(server.requests) == 3


def test_server_that_cannot_continue_is_asked_for_the_whole_file(pull, server, own_cache, caplog):
    server.pages[FILE] = web.Page(CHECKPOINT, ranges=False, breaks=[HALF])
    assert pull()[0] == FAILED
    assert len(parts(own_cache)) == 1
    assert pull()[0] == DONE
    assert stored() == CHECKPOINT
    assert "cannot be continued" in caplog.text
    assert parts(own_cache) == []


def test_bytes_of_two_sources_are_not_mixed(pull, server):
    server.pages[FILE].breaks = [HALF]
    assert pull()[0] == FAILED
    server.pages["/other.pth"] = web.Page(OTHER)
    assert pull("--url", f"{server.url}/other.pth")[0] == DONE
    assert stored() == OTHER


def test_file_that_changed_during_an_interruption_is_not_spliced(pull, server):
    server.pages[FILE].breaks = [HALF]
    assert pull()[0] == FAILED
    server.pages[FILE] = web.Page(OTHER)
    code, _, err = pull()
    assert code == FAILED
    assert is_one_sentence(err, "damaged")
    assert stored() is None
    assert pull()[0] == DONE
    assert stored() == OTHER


def test_file_that_differs_from_its_record_is_refused_unless_accepted(pull, server, converted):
    pull()
    cache.checkpoint_path(DLA34).unlink()
    server.pages[FILE] = web.Page(OTHER)
    code, _, err = pull()
    assert code == FAILED
    assert is_one_sentence(err, sha256(CHECKPOINT), sha256(OTHER), "--overwrite")
    assert stored() is None
    assert pull("--overwrite")[0] == DONE
    assert stored() == OTHER
    assert converted == [CHECKPOINT, OTHER]
    assert pull()[0] == DONE


def test_file_that_was_damaged_in_the_cache_is_fetched_again(pull, server, caplog):
    pull()
    cache.checkpoint_path(DLA34).write_bytes(CHECKPOINT[:-1] + b"x")
    assert pull()[0] == DONE
    assert stored() == CHECKPOINT
    assert "is not used" in caplog.text


def test_pull_that_fails_leaves_the_file_that_was_there(pull, server):
    pull()
    server.pages.clear()
    code, _, err = pull("--overwrite")
    assert code == FAILED
    assert "404" in err
    assert stored() == CHECKPOINT
    assert pull()[0] == DONE


def test_pinned_hash_cannot_be_overruled(pull, server, monkeypatch):
    monkeypatch.setitem(ZOO, DLA34, dataclasses.replace(ZOO[DLA34], sha256=sha256(OTHER), drive_id=None))
    for arguments in ((), ("--overwrite",)):
        code, _, err = pull(*arguments)
        assert code == FAILED
        assert is_one_sentence(err, sha256(CHECKPOINT), sha256(OTHER), f"models import {DLA34}")
        assert stored() is None
    server.pages[FILE] = web.Page(OTHER)
    assert pull()[0] == DONE
    assert stored() == OTHER


@pytest.mark.parametrize(
    ("page", "words"),
    [
        (web.Page(b"<!doctype html><html><p>Too many people use this file</p></html>"), "a web page"),
        (web.Page(b""), "empty"),
        (web.Page(b"not found" * 100), "not a PyTorch checkpoint"),
        (web.Page(CHECKPOINT, length=False, breaks=[HALF]), "cut off"),
        (web.Page(b"gone", status=410), "410"),
        (web.Page(b"busy", status=503), "503"),
    ],
)
def test_answer_that_is_no_checkpoint_is_refused(pull, server, own_cache, page, words, converted):
    server.pages[FILE] = page
    code, out, err = pull()
    assert (code, out, converted) == (FAILED, "", [])
    assert is_one_sentence(err, words, server.url, ZOO[DLA34].page, f"hprnet-rt models import {DLA34} PATH")
    assert cache.files_of(DLA34) == []


def test_sources_are_tried_in_order_and_each_failure_is_told(pull, server, monkeypatch, caplog):
    mirrors = (f"{server.url}/first.pth", f"{server.url}/second.pth", f"{server.url}/third.pth")
    monkeypatch.setitem(ZOO, DLA34, dataclasses.replace(ZOO[DLA34], mirrors=mirrors))
    server.pages = {"/first.pth": web.Page(b"<html>"), "/second.pth": web.Page(CHECKPOINT)}
    assert pull()[0] == DONE
    assert stored() == CHECKPOINT
    assert [request[0] for request in server.requests] == [FILE, "/first.pth", "/second.pth"]
    messages = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [re.findall("404|web page", message) for message in messages] == [["404"], ["web page"]]


def test_address_that_was_asked_for_is_the_only_one(pull, server):
    code, _, err = pull("--url", f"{server.url}/none.pth")
    assert code == FAILED
    assert is_one_sentence(err, "/none.pth", "404")
    assert [request[0] for request in server.requests] == ["/none.pth"]


@pytest.mark.parametrize("url", ["weights.pth", "file:///tmp/weights.pth", "https://"])
def test_address_that_is_none_is_refused(pull, server, url):
    code, _, err = pull("--url", url)
    assert code == WRONG_USAGE
    assert is_one_sentence(err, url, "models import")


def test_mirror_that_is_no_address_is_named(pull, monkeypatch):
    monkeypatch.setenv("HPRNET_RT_MIRROR", "weights.lab")
    code, _, err = pull()
    assert code == WRONG_USAGE
    assert is_one_sentence(err, "HPRNET_RT_MIRROR", "weights.lab")


def test_network_without_published_weights_is_refused(run):
    code, _, err = run("models", "pull", "hprnet-dla34-hm1")
    assert code == WRONG_USAGE
    assert is_one_sentence(err, "no published weights", "models import hprnet-dla34-hm1")


def test_mirror_may_have_weights_that_nobody_published(run, server):
    server.pages["/hprnet-dla34-hm1.pth"] = web.Page(CHECKPOINT)
    assert run("models", "pull", "hprnet-dla34-hm1")[0] == DONE


def test_shipped_network_need_not_be_pulled(run, server):
    code, out, _ = run("models", "pull", "hprnet-mobile")
    assert code == DONE
    assert "comes with the package" in out
    assert run("models", "pull", "hprnet-mobile", "--url", server.url)[0] == WRONG_USAGE
    assert server.requests == []


# --- without a network ---


def test_offline_mode_asks_nobody(pull, server, monkeypatch):
    monkeypatch.setenv("HPRNET_RT_OFFLINE", "1")
    code, _, err = pull()
    assert code == WRONG_USAGE
    assert is_one_sentence(err, "HPRNET_RT_OFFLINE", "models import")
    assert server.requests == []


def test_offline_mode_is_content_with_what_is_here(pull, server, monkeypatch):
    pull()
    monkeypatch.setenv("HPRNET_RT_OFFLINE", "1")
    assert pull()[0] == DONE
    assert pull("--overwrite")[0] == WRONG_USAGE


def test_machine_without_a_network_gets_clear_words(pull, monkeypatch):
    monkeypatch.setattr(fetch, "_RETRIES", 0)
    code, _, err = pull()
    assert code == FAILED
    assert is_one_sentence(
        err, "no connection to drive.google.com: Name or service not known", ZOO[DLA34].page, "models import"
    )
    assert "HTTPSConnectionPool" not in err


def test_port_where_nobody_listens_gets_clear_words(pull, server):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # it does not listen
        code, _, err = pull("--url", f"http://127.0.0.1:{silent.getsockname()[1]}/x.pth")
    assert code == FAILED
    assert is_one_sentence(err, "no connection to 127.0.0.1: Connection refused")


def test_server_that_falls_silent_gets_clear_words(pull, server, monkeypatch):
    monkeypatch.setattr(fetch, "_TIMEOUT_S", (1.0, 0.1))
    release = threading.Event()
    server.pages[FILE] = web.Page(CHECKPOINT, breaks=[HALF], hold=release)
    code, _, err = pull("--url", server.url + FILE)
    release.set()
    assert code == FAILED
    assert is_one_sentence(err, "stopped sending", "are kept")


def test_missing_downloader_is_named(pull, server, monkeypatch):
    monkeypatch.setitem(sys.modules, "gdown", None)
    code, _, err = pull()
    assert code == FAILED
    assert is_one_sentence(err, 'pip install "hprnet-rt[train]"')


# --- Google Drive's own pages, through gdown ---


@pytest.fixture
def drive(server, monkeypatch):
    """gdown's requests to Google reach the local server (without TLS); pages by path, as Google has them."""
    import requests

    send = requests.adapters.HTTPAdapter.send
    monkeypatch.delenv("HPRNET_RT_MIRROR")

    def redirected(self, request, **settings):
        parts = urlsplit(request.url)
        assert parts.hostname in ("drive.google.com", "drive.usercontent.google.com")
        asked = request.url
        request.url = f"{server.url}{parts.path}?{parts.query}"
        response = send(self, request, **settings)
        response.url = request.url = asked
        return response

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", redirected)
    return server


HTML = {"Content-Type": "text/html; charset=utf-8"}
ATTACHED = {
    "Content-Type": "application/octet-stream",
    "Content-Disposition": 'attachment; filename="dla.pth"',
}
CONFIRM = (  # the form on one line, as Google sends it
    "<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title></head><body>"
    '<form id="download-form" action="https://drive.usercontent.google.com/download" method="get">'
    '<input type="submit" value="Download anyway"/><input type="hidden" name="id" value="{id}">'
    '<input type="hidden" name="export" value="download"><input type="hidden" name="confirm" value="t">'
    "</form></body></html>"
)
QUOTA = (
    '<!DOCTYPE html><html><body><p class="uc-error-caption">Sorry</p>'
    '<p class="uc-error-subcaption">Too many users have viewed or downloaded this file.</p></body></html>'
)


def test_large_file_of_google_drive_is_confirmed_and_continued(pull, drive, own_cache):
    file_id = ZOO[DLA34].drive_id
    download = f"/download?id={file_id}&export=download&confirm=t"
    drive.pages[f"/uc?id={file_id}"] = web.Page(CONFIRM.format(id=file_id).encode(), headers=HTML)
    drive.pages[download] = web.Page(CHECKPOINT, headers=ATTACHED, breaks=[HALF])
    code, _, err = pull()
    assert code == FAILED
    assert is_one_sentence(err, "drive.google.com", "are kept")
    (part,) = parts(own_cache)
    kept = part.stat().st_size
    assert pull()[0] == DONE
    assert stored() == CHECKPOINT
    assert drive.requests[-1] == (download, f"bytes={kept}-", len(CHECKPOINT) - kept)


def test_quota_page_of_google_drive_is_told(pull, drive):
    drive.pages[f"/uc?id={ZOO[DLA34].drive_id}"] = web.Page(QUOTA.encode(), headers=HTML)
    code, _, err = pull()
    assert code == FAILED
    assert is_one_sentence(err, "Too many users", "with a browser", f"models import {DLA34} PATH")


# --- the cache cannot be written ---


@pytest.mark.parametrize("where", ["/proc/hprnet", "file/cache"])
def test_cache_that_cannot_be_made_is_named(pull, server, tmp_path, monkeypatch, where):
    (tmp_path / "file").touch()
    monkeypatch.setenv("HPRNET_RT_CACHE", str(tmp_path / where))
    code, _, err = pull()
    assert code == FAILED
    assert is_one_sentence(err, tmp_path / where, "HPRNET_RT_CACHE")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MB."""
    with disks.small_disk(tmp_path / "disk", "2m") as folder:
        yield folder


def test_full_disk_is_named_and_the_pull_goes_on_when_there_is_room(pull, server, small_disk, monkeypatch):
    monkeypatch.setenv("HPRNET_RT_CACHE", str(small_disk))
    code, _, err = pull("--no-import")
    assert code == FAILED
    assert is_one_sentence(err, small_disk, "No space left on device", "HPRNET_RT_CACHE")
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True, timeout=10)
    assert pull("--no-import")[0] == DONE
    assert stored() == CHECKPOINT
    assert server.requests[-1][1] is not None  # continued


# --- two at once, stopped, killed ---


def test_two_pulls_at_once_fetch_once(server, converted):
    results = []

    def run():
        results.append(cli.main(["models", "pull", DLA34, "--quiet"]))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert results == [DONE, DONE]
    assert stored() == CHECKPOINT
    assert len(server.requests) == len(converted) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_stopped_pull_keeps_what_has_arrived(pull, server, own_cache, number):
    server.pages[FILE] = web.Page(CHECKPOINT, breaks=[HALF], hold=threading.Event())
    command = [sys.executable, "-m", "hprnet_rt", "models", "pull", DLA34]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert server.broken.wait(30)
        while not parts(own_cache) or not parts(own_cache)[0].stat().st_size:
            assert process.poll() is None, process.stderr.read()
        process.send_signal(number)
        _, err = process.communicate(timeout=20)
    server.pages[FILE].hold.set()
    if number == signal.SIGINT:
        assert process.returncode == INTERRUPTED
        assert is_one_sentence(err, "stopped", "same command")
    (part,) = parts(own_cache)
    assert part.stat().st_size > 0
    assert pull()[0] == DONE
    assert stored() == CHECKPOINT
    assert server.requests[-1][1] == f"bytes={len(CHECKPOINT) - server.requests[-1][2]}-"


# --- import, and weights of annotate ---


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.pth"
    path.write_bytes(CHECKPOINT)
    return path


def test_imported_checkpoint_runs_by_name(run, mine, converted):
    code, out, _ = run("models", "import", DLA34, mine)
    assert code == DONE
    assert f"annotate --model {DLA34}" in out
    assert converted == [CHECKPOINT]
    assert cache.read_record(cache.import_record_path(DLA34))["checkpoint"] == str(mine)
    assert run("models", "import", DLA34, mine)[0] == DONE
    assert len(converted) == 1
    run("models", "import", DLA34, mine, "--overwrite", "-q")
    assert len(converted) == 2


def test_import_of_a_missing_file_is_refused(run, tmp_path):
    code, _, err = run("models", "import", DLA34, tmp_path / "no such.pth")
    assert code == WRONG_USAGE
    assert is_one_sentence(err, "no such.pth")


def test_import_of_something_else_is_refused(run, tmp_path):
    (tmp_path / "page.pth").write_text("<html>")
    code, _, err = run("models", "import", DLA34, tmp_path / "page.pth")
    assert code == FAILED
    assert is_one_sentence(err, "page.pth", "a web page")


def test_annotate_without_weights_says_how_to_get_them(run, tmp_path):
    code, _, err = run("annotate", SAMPLE, "-o", tmp_path / "out", "--model", DLA34)
    assert code == WRONG_USAGE
    assert is_one_sentence(err, f"hprnet-rt models pull {DLA34}", "--weights FILE")
    assert not (tmp_path / "out").exists()


def test_annotate_runs_a_checkpoint_at_the_network_s_own_size(run, mine, converted, tmp_path):
    options = ("--model", "hprnet-mobile", "--weights", mine)
    assert run("annotate", SAMPLE, "-o", tmp_path / "out", *options)[0] == DONE
    assert converted == [CHECKPOINT]
    header = json.loads((tmp_path / "out" / "sample.jsonl").read_text().splitlines()[0])
    assert header["options"]["input_px"] == SPECS["hprnet-mobile"].input_px
    assert run("annotate", SAMPLE, "-o", tmp_path / "again", *options)[0] == DONE
    assert len(converted) == 1


def test_actions_have_help(run):
    for action in ("list", "info", "pull", "import", "remove"):
        code, out, _ = run("models", action, "--help")
        assert code == DONE
        assert f"models {action}" in out
    assert "HPRNET_RT_CACHE" in run("models", "--help")[1]
