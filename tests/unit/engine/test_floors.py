# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The floors of the engine: a room imports itself and lower floors, the standard library and ``cryptography``.

The source is read, not run, so that an import in a function, under a condition or for types only counts too.
"""

from __future__ import annotations

import ast
import importlib.util
import sysconfig
from pathlib import Path

import pytest

ENGINE = Path(__file__).resolve().parents[3] / "plugins" / "module_utils"
GROUND = ("errors", "units", "files", "directories", "owners", "version", "watch", "alerting", "config")
FLOORS = {**dict.fromkeys(GROUND, 0), "sqlite": 1, "probes": 1, "channels": 1, "archive": 2, "catalog": 3, "jobs": 4,
          "monitor": 5, "cli": 6, "face": 6}
FOREIGN = {"cryptography"}
# face.py is what the modules share: it stands beside the command's cli/, and no engine room may import it.
FOREIGN_OF_ROOM = {"face": {"ansible"}}
FOREIGN_OF_FILE = {"archive/libraries.py": {"isal", "zlib_ng", "zstandard", "compression"},
                   # The command that is asked for, of a table of its own package.
                   "cli/dispatch.py": {"?"}}
NEWER_THAN_PYTHON_3_9 = {"annotationlib", "compression", "tomllib"}
STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib")).resolve()


def is_standard(module: str) -> bool:
    """Whether a top-level module belongs to the standard library of every Python that is served."""
    if module in NEWER_THAN_PYTHON_3_9:
        return False
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        return False
    if spec.origin in ("built-in", "frozen"):
        return True
    parts = Path(spec.origin).resolve()
    return STANDARD_LIBRARY in parts.parents and not {"site-packages", "dist-packages"} & set(parts.parts)


def imported(node: ast.AST) -> list[tuple[int, str]]:
    """(level, dotted name) of each import that a node is; level 0 is absolute. Imports by a call are (0, "?")."""
    if isinstance(node, ast.Import):
        return [(0, alias.name) for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        if node.module is not None:
            return [(node.level, node.module)]
        return [(node.level, alias.name) for alias in node.names]
    if isinstance(node, ast.Call):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called in ("import_module", "__import__"):
            return [(0, "?")]
    return []


def room_of(parts: tuple[str, ...]) -> str:
    """The room of a file of the engine: the file itself for the ground floor, else its top directory."""
    return Path(parts[0]).stem


def faults(path: str, source: str) -> list[str]:
    """What the file at ``path`` (relative to module_utils) imports and may not."""
    parts = Path(path).parts
    room = room_of(parts)
    if room not in FLOORS:
        return [f"{path}: the room {room} stands on no floor; give it one in FLOORS"]
    found = []
    foreign = FOREIGN | FOREIGN_OF_FILE.get(path, set())
    for node in ast.walk(ast.parse(source, path)):
        for level, name in imported(node):
            fault = _relative_fault(room, parts[:-1], level, name) if level else _absolute_fault(room, name, foreign)
            if fault:
                found.append(f"{path}:{getattr(node, 'lineno', 0)}: {fault}")
    return found


def _absolute_fault(room: str, name: str, foreign: set[str]) -> str:
    top = name.split(".")[0]
    if top in foreign | FOREIGN_OF_ROOM.get(room, set()) or (top != "?" and is_standard(top)):
        return ""
    return f"imports {name}, which is neither of the standard library nor cryptography, or not by a relative import"


def _relative_fault(room: str, package: tuple[str, ...], level: int, name: str) -> str:
    if level - 1 > len(package):
        return f"imports {name} from outside the engine"
    target = room_of((*package[:len(package) - level + 1], *name.split(".")))
    if target not in FLOORS:
        return f"imports {target}, which stands on no floor"
    if target == room or FLOORS[target] < FLOORS[room] or {target, room} <= set(GROUND):
        return ""
    return f"{room} (floor {FLOORS[room]}) imports {target} (floor {FLOORS[target]})"


FILES = sorted(str(path.relative_to(ENGINE)) for path in ENGINE.rglob("*.py") if path != ENGINE / "__init__.py")


def test_the_engine_is_read():
    assert {room_of(Path(path).parts) for path in FILES} >= set(FLOORS) - {"face"}


@pytest.mark.parametrize("path", FILES)
def test_a_file_imports_lower_floors_only(path):
    assert faults(path, (ENGINE / path).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(("path", "source"), [
    ("files.py", "from .sqlite.source import examine"),
    ("sqlite/source.py", "from ..archive import keys"),
    ("sqlite/source.py", "from .. import archive"),
    ("archive/reader.py", "def late():\n    from ..catalog.names import parse_name"),
    ("catalog/lock.py", "if TYPE_CHECKING:\n    from ..jobs.backup import BackupRequest"),
    ("jobs/backup.py", "from ..cli.output import Output"),
    ("jobs/backup.py", "from ..face import answer"),
    ("cli/commands/backup.py", "from ...face import answer"),
    ("cli/commands/backup.py", "from ....modules import sqlite_backup"),
    ("face.py", "from .cli.main import main"),
    ("jobs/backup.py", "from ..nowhere import x"),
    ("nowhere.py", ""),
    ("errors.py", "import ansible"),
    ("errors.py", "from ansible.module_utils.basic import AnsibleModule"),
    ("errors.py", "import ansible_collections.feedforward.maintenance.plugins.module_utils.units"),
    ("config.py", "import yaml"),
    ("config.py", "try:\n    import tomllib\nexcept ImportError:\n    pass"),
    ("config.py", "import os, pytest"),
    ("config.py", "import importlib\nimportlib.import_module('ansible')"),
    ("config.py", "__import__('ansible')"),
    ("face.py", "import yaml"),
])
def test_a_wrong_import_is_found(path, source):
    assert len(faults(path, source)) == 1


@pytest.mark.parametrize(("path", "source"), [
    ("errors.py", "import errno, json, os.path, sqlite3, zlib"),
    ("config.py", "from .errors import UsageError"),
    ("sqlite/source.py", "from . import header\nfrom .header import parse_header\nfrom .. import errors"),
    ("archive/aead.py", "from cryptography.exceptions import InvalidTag"),
    ("jobs/backup.py", "from ..catalog.catalog import Catalog\nfrom ..sqlite import snapshot\nfrom . import collect"),
    ("cli/commands/backup.py", "from ...jobs.backup import run_backup\nfrom ..output import Output"),
    ("face.py", "from ansible.module_utils.basic import AnsibleModule\nfrom .errors import InternalError"),
])
def test_a_right_import_is_allowed(path, source):
    assert faults(path, source) == []
