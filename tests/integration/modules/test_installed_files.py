# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action installed_files and module paths_info: what is right is passed over, what is not is put right."""

from __future__ import annotations

import grp
import hashlib
import json
import os
import pwd

import pytest
from module_support import ROOT, task, tree

CALLBACKS = ROOT / "molecule" / "resources" / "callbacks"


@pytest.fixture
def host(tmp_path):
    """A directory of the host that is looked after."""
    directory = tmp_path / "host"
    directory.mkdir()
    return directory


@pytest.fixture
def options(tmp_path, host):
    """A directory, a file of its own, two files of one template, and one that is not wanted."""
    single, many = tmp_path / "single.j2", tmp_path / "many.j2"
    single.write_text("{{ ansible_managed }}\nfor all: {{ 6 * 7 }}\n")
    many.write_text("{% for word in item.words %}\n{{ word }}\n{% endfor %}\nof {{ item.name }}\n")
    validate = "sh -c 'grep -q \"of {name}$\" \"$1\" && ! grep -q forbidden \"$1\"' validate %s"
    return {
        "owner": pwd.getpwuid(os.geteuid()).pw_name, "group": grp.getgrgid(os.getegid()).gr_name,
        "directories": [{"path": f"{host}/configuration", "mode": "0750"}],
        "files": [
            {"src": str(single), "dest": f"{host}/configuration/single", "mode": "0640"},
            {"src": str(many), "dest": f"{host}/{{name}}.unit", "validate": validate,
             "present_for": [{"name": "one", "words": ["ä", "b"]}, {"name": "two", "words": []}],
             "absent_for": [{"name": "three"}]},
        ],
        "absent": [f"{host}/former"],
    }  # fmt: skip


def sent(ansible, tmp_path, *tasks):
    """The results of the tasks, and the names of the modules that they sent."""
    noted = tmp_path / "sent"
    noted.unlink(missing_ok=True)
    callbacks = os.pathsep.join([str(CALLBACKS), str(ROOT / "tests" / "integration" / "callback")])
    run = ansible.play(list(tasks), environment={
        "ANSIBLE_CALLBACK_PLUGINS": callbacks, "ANSIBLE_CALLBACKS_ENABLED": "record,module_executions",
        "MODULE_EXECUTIONS": str(noted)})  # fmt: skip
    return run.results, [json.loads(line)["module"].rsplit(".", 1)[1] for line in noted.read_text().splitlines()]


def test_four_states(ansible, options, host):
    (host / "three.unit").write_text("old")
    (host / "former").mkdir()
    (host / "former" / "file").write_text("old")
    checked, ran, again, checked_again = ansible.four_states("installed_files", options)
    assert [state["changed"] for state in (checked, ran, again, checked_again)] == [True, True, False, False]
    everything = [f"{host}/{name}" for name in ("configuration", "former", "three.unit", "configuration/single",
                                                "one.unit", "two.unit")]
    assert checked["paths"] == ran["paths"] == everything
    assert (again["paths"], again["diff"]) == ([], [])
    assert [change["after"] for change in checked["diff"][-2:]] == ["ä\nb\nof one\n", "of two\n"]
    assert tree(host) == {
        "configuration": (oct(0o040750), None),
        "configuration/single": (oct(0o100640), b"Ansible managed\nfor all: 42\n"),
        "one.unit": (oct(0o100644), "ä\nb\nof one\n".encode()),
        "two.unit": (oct(0o100644), b"of two\n"),
    }


def test_check_mode_touches_nothing(ansible, options, host):
    (host / "three.unit").write_text("old")
    before = tree(host)
    assert ansible.module("installed_files", options, check=True)["changed"]
    assert tree(host) == before


def test_what_is_right_is_one_module_and_what_is_not_is_left_to_the_stock_ones(ansible, options, host, tmp_path):
    ansible.module("installed_files", options)
    _results, modules = sent(ansible, tmp_path, task("installed_files", options))
    assert modules == ["paths_info"]
    (host / "one.unit").chmod(0o600)
    (result,), modules = sent(ansible, tmp_path, task("installed_files", options))
    assert modules == ["paths_info", "stat", "file"]
    assert result["paths"] == [f"{host}/one.unit"]


@pytest.mark.parametrize("edit", ["content", "mode", "link", "gone", "directory_mode", "unwanted"])
def test_every_kind_of_difference_is_seen(ansible, options, host, edit):
    ansible.module("installed_files", options)
    before = tree(host)
    unit = host / "one.unit"
    if edit == "content":
        unit.write_text("by hand\n")
    elif edit == "mode":
        unit.chmod(0o666)
    elif edit == "link":
        unit.rename(host / "elsewhere")
        unit.symlink_to(host / "elsewhere")
    elif edit == "gone":
        unit.unlink()
    elif edit == "directory_mode":
        (host / "configuration").chmod(0o755)
    else:
        (host / "former").symlink_to("/nowhere")
    assert ansible.module("installed_files", options)["changed"]
    (host / "elsewhere").unlink(missing_ok=True)
    assert tree(host) == before
    assert not unit.is_symlink()


def test_a_file_that_is_not_valid_is_not_put_in_place(ansible, options, host):
    options["files"][1]["present_for"][1]["words"] = ["forbidden"]
    result = ansible.module("installed_files", options)
    assert result["failed"]
    assert "failed to validate" in result["msg"]
    assert result["path"] == f"{host}/two.unit"
    assert not (host / "two.unit").exists()
    assert (host / "one.unit").exists()


@pytest.mark.parametrize(("change", "words"), [
    ({"absent": ["relative/path"]}, "relative/path"),
    ({"files": [{"src": "nowhere.j2", "dest": "/{name}", "present_for": [{"name": "../etc"}]}]}, "needs a name"),
    ({"files": [{"src": "nowhere.j2", "dest": "/{name}", "absent_for": [{}]}]}, "needs a name"),
])  # fmt: skip
def test_a_path_that_cannot_be_meant_is_refused(ansible, options, change, words):
    result = ansible.module("installed_files", {**options, **change})
    assert result["failed"]
    assert words in result["msg"]


def test_paths_info_says_what_lies_there(ansible, host):
    (host / "file").write_bytes(b"content")
    (host / "file").chmod(0o640)
    (host / "link").symlink_to("file")
    (host / "dangling").symlink_to("nowhere")
    os.mkfifo(host / "fifo")
    names = ["file", "link", "dangling", "fifo", "missing", "file/below", ""]
    found = ansible.module("paths_info", {"paths": [f"{host}/{name}".rstrip("/") for name in names], "checksum": True})
    assert not found["changed"]
    kinds = ["file", "link", "link", "other", "absent", "absent", "directory"]
    assert [path["type"] for path in found["paths"]] == kinds
    file, link, dangling, *_others, missing, _below, directory = found["paths"]
    assert file["sha256"] == hashlib.sha256(b"content").hexdigest()
    assert (file["mode"], file["uid"], file["owner"]) == ("0640", os.geteuid(), pwd.getpwuid(os.geteuid()).pw_name)
    assert (link["target"], dangling["target"]) == (f"{host.resolve()}/file", f"{host.resolve()}/nowhere")
    assert missing == {"path": f"{host}/missing", "type": "absent", "target": f"{host}/missing"}
    assert directory["target"] == str(host)
    assert "sha256" not in ansible.module("paths_info", {"paths": [str(host / "file")]})["paths"][0]
