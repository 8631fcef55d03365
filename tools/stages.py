# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stages of ``make test``, in the order in which they run."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv" / "bin"
NEWEST = ".venv-newest"
# It walks the whole way, from the installation to the restore, and is short.
NEWEST_SCENARIO = "smoke_bullseye"
ON_PATH = {"PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
COLLECTIONS = {
    "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".build" / "collections"),
    # A collection of the same name below the home directory must not be looked at in place of this one.
    "ANSIBLE_HOME": str(ROOT / ".build" / "ansible"),
}
SANITY_PROOF = re.compile('Running sanity test "validate-modules"')
# The tests of a file share what is dear to set up.
SPREAD = "-n auto --dist loadfile"
PYTEST_TESTS = re.compile(r"\b[1-9]\d* passed\b")


@dataclass(frozen=True)
class Stage:
    """One row of the table: commands that run one after the other, and what they need of the machine.

    ``needs`` names programs, ``root`` for who runs it, or ``bed`` for the test hosts. ``proof`` has to be found in
    the output: a run that tested nothing is no success. A stage that is ``optional`` may be left out even in CI.
    One that runs ``beside`` others mostly waits: for timers, for intervals, for one process at a time.
    """

    name: str
    group: str
    commands: tuple[tuple[str, ...], ...]
    needs: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    limit_seconds: int = 600
    proof: re.Pattern[str] | None = None
    after_failure: tuple[str, ...] = ()
    optional: bool = False
    beside: bool = False


def tool(line: str) -> tuple[str, ...]:
    """A command line whose program is one of the virtual environment."""
    program, *arguments = shlex.split(line)
    return (str(BIN / program), *arguments)


def lint_stages() -> list[Stage]:
    """Everything that looks at the files and runs none of them."""
    documents = "antsibull-docs lint-collection-docs --plugin-docs --validate-collection-refs=self"
    changes = "antsibull-changelog lint-changelog-yaml changelogs/changelog.yaml"
    return [
        Stage("build", "lint", (("tools/build.sh",),)),
        Stage("ruff", "lint", (tool("ruff check ."),)),
        Stage("mypy", "lint", (tool("mypy"),)),
        Stage("yamllint", "lint", (("tools/lint_files.sh", "yamllint"),)),
        Stage("shellcheck", "lint", (("tools/lint_files.sh", "shellcheck"),), needs=("shellcheck",)),
        Stage("ansible-lint", "lint", (tool("ansible-lint"),), environment=COLLECTIONS),
        Stage("plugin-docs", "lint", (tool(f"{documents} --disallow-unknown-collection-refs ."),), environment=ON_PATH),
        Stage("role-docs", "lint", (tool("python tools/role_docs.py --check"),)),
        Stage("changelog", "lint", (tool("antsibull-changelog lint"), tool(changes))),
        Stage("galaxy-importer", "lint", (("tools/importer.sh",),)),
    ]


def python_stages() -> list[Stage]:
    """The tests that need no host: engine and plugins, modules through Ansible, bad input, ansible-test's own."""
    report = ROOT / ".build" / "coverage" / "coverage.json"
    unit = tool(f"pytest -q {SPREAD} tests/unit --cov --cov-report=term --cov-report=json:{report}")
    gate = tool(f"python tools/coverage_gate.py {report}")
    return [
        Stage("unit", "unit", (unit, gate), limit_seconds=1500, proof=PYTEST_TESTS),
        *(
            Stage(
                name,
                name.partition(":")[0],
                (tool(f"pytest -q {spread} tests/{directory}"),),
                needs,
                # Minutes on an idle machine; much of it is fsync, which a busy disk makes slow.
                limit_seconds=1200,
                proof=PYTEST_TESTS,
            )
            for name, directory, spread, needs in (
                ("integration", "integration/modules", SPREAD, ()),
                ("integration:systemd", "integration/systemd", "", ("systemd-analyze",)),
                ("integration:root", "integration/root", "", ("root",)),
                ("integration:prometheus", "integration/prometheus", "", ("promtool", "prometheus-node-exporter")),
                ("browser", "browser", "", ("chromium", "npm")),
                ("system", "system/anyone", SPREAD, ()),
                ("system:clock", "system/clock", "", ("faketime",)),
                ("system:root", "system/root", "", ("root",)),
                ("system:zstd", "system/zstd", "", ("zstd",)),
                ("faults", "faults", "", ()),
            )
        ),
        Stage("sanity", "sanity", (("tools/sanity.sh",),), limit_seconds=1200, proof=SANITY_PROOF),
    ]


def scenarios() -> list[str]:
    """Names of the molecule scenarios; the one that proves the bed comes first, and no long one is left for the end."""
    names = [path.parent.name for path in (ROOT / "molecule").glob("*/molecule.yml")]
    names.remove("default")
    return sorted(names, key=lambda name: (name == "sandbox", name), reverse=True)


def scenario_stage(name: str, stage_name: str, group: str, environment: dict[str, str], *needs: str) -> Stage:
    """One scenario on hosts that stay for the next one, and are booted anew when it failed."""
    return Stage(
        stage_name,
        group,
        (("tools/scenario.sh", name, "test", "--destroy=never"),),
        needs=("bed", *needs),
        environment=environment,
        limit_seconds=1200,
        proof=PYTEST_TESTS,
        after_failure=("testbed/bed", "down"),
        beside=True,
    )


def molecule_stages() -> list[Stage]:
    """Each scenario on booted hosts, with the installed tarball."""
    return [scenario_stage(name, f"molecule:{name}", "molecule", {}) for name in scenarios()]


def newer_python() -> str:
    """The latest Python on this machine that the newest ansible-core runs on; the name of one where there is none."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for minor in (14, 13, 12):
        # pyenv's shims answer for interpreters that they then refuse to start.
        for found in (*sorted(pyenv.glob(f"3.{minor}.*/bin/python3.{minor}")), shutil.which(f"python3.{minor}")):
            if found and "shims" not in str(found):
                return str(found)
    return "python3.13"


def newest_stages() -> list[Stage]:
    """Sanity and one scenario on the newest ansible-core, where a Python for it is found."""
    python = newer_python()
    environment = {"VENV": NEWEST}
    stages = [
        Stage("newest:install", "newest", (("tools/venv.sh", "newest", NEWEST, python),), needs=(python,)),
        Stage(
            "newest:sanity",
            "newest",
            # The Pythons of the hosts were tested by the stage before: here it is the controller's alone.
            (("tools/sanity.sh", "--python", re.sub(r".*python", "", python)),),
            needs=(python,),
            environment=environment,
            limit_seconds=1200,
            proof=SANITY_PROOF,
        ),
        scenario_stage(NEWEST_SCENARIO, f"newest:{NEWEST_SCENARIO}", "newest", environment, python),
    ]
    return [replace(stage, optional=True) for stage in stages]


def all_stages() -> list[Stage]:
    """All stages, in order: those that run beside each other are the last."""
    stages = [*lint_stages(), *python_stages(), *molecule_stages(), *newest_stages()]
    return sorted(stages, key=lambda stage: stage.beside)
