# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes each role's README.md from its argument specs, and compares its defaults with them.

Usage: role_docs.py [--check]     --check writes nothing and fails where a README is not what it would write.
Defaults that differ from the argument specs are reported, and fail, in either case.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
COLLECTION = "feedforward.maintenance"
NOTICE = "<!-- Made by `make docs` from meta/argument_specs.yml: edit that file, not this one. -->"
MISSING = object()

# Ansible's markup, as its "Ansible markup" page lists it, and what becomes of it in Markdown.
MARKUP = (
    (re.compile(r"\b[CVEP]\(((?:\\.|[^)\\])*)\)"), r"`\1`"),
    (re.compile(r"\b(?:O|RV)\((?:[a-z0-9_.]+#[a-z]+:)?(?:main:)?((?:\\.|[^)\\])*)\)"), r"`\1`"),
    (re.compile(r"\bM\(([^)]*)\)"), r"`\1`"),
    (re.compile(r"\bB\(([^)]*)\)"), r"**\1**"),
    (re.compile(r"\bI\(([^)]*)\)"), r"*\1*"),
    (re.compile(r"\bU\(([^)]*)\)"), r"<\1>"),
    (re.compile(r"\bL\(([^,)]*), *([^)]*)\)"), r"[\1](\2)"),
)


def paragraphs(value: Any) -> list[str]:
    """A description, one string or a list of them, as Markdown paragraphs."""
    texts = [value] if isinstance(value, str) else list(value or [])
    return [markdown(text) for text in texts]


def markdown(text: str) -> str:
    """One paragraph with Ansible's markup turned into Markdown's."""
    text = " ".join(text.split())
    for pattern, replacement in MARKUP:
        text = pattern.sub(replacement, text)
    return re.sub(r"\\([)\\])", r"\1", text)


def cell(text: str) -> str:
    """Text that may stand in a cell of a table."""
    return text.replace("|", "\\|").replace("\n", "<br>")


def shown(value: Any) -> str:
    """A default in code marks: text as it is, everything else as JSON, which is YAML as well."""
    if value == "":
        return "empty"
    return "`" + (value if isinstance(value, str) else json.dumps(value)) + "`"


def kind(option: dict[str, Any]) -> str:
    """The type of an option in words, as ``list of path``."""
    name = option.get("type", "str")
    return f"{name} of {option['elements']}" if "elements" in option else name


def rows(options: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """The lines of the table of options; those inside a dictionary follow it, with a dotted name."""
    for name, option in options.items():
        default = "required" if option.get("required") else shown(option["default"]) if "default" in option else "none"
        text = paragraphs(option.get("description"))
        if "choices" in option:
            text.append("One of " + ", ".join(f"`{choice}`" for choice in option["choices"]) + ".")
        yield f"| `{prefix}{name}` | {kind(option)} | {cell(default)} | {cell('<br>'.join(text))} |"
        yield from rows(option.get("options", {}), f"{prefix}{name}.")


def attribute_rows(attributes: dict[str, Any]) -> Iterator[str]:
    """The lines of the table of attributes."""
    for name, attribute in attributes.items():
        text = paragraphs(attribute.get("description")) + paragraphs(attribute.get("details"))
        support = attribute.get("platforms") or attribute["support"]
        yield f"| {name} | {cell(support)} | {cell('<br>'.join(text))} |"


def entry_point(name: str, spec: dict[str, Any], role: str) -> Iterator[str]:
    """The part of a README about one entry point of a role."""
    if name != "main":
        yield f"## Entry point `{name}`: {markdown(spec['short_description'])}"
        yield ""
    for text in paragraphs(spec.get("description")):
        yield text
        yield ""
    if not role.startswith("_"):
        yield from ["```yaml", f"- name: {' '.join(spec['short_description'].split())}"]
        yield from ["  hosts: servers", "  become: true"]
        if name == "main":
            yield from ["  roles:", f"    - {COLLECTION}.{role}"]
        else:
            yield from ["  tasks:", "    - name: Include it", "      ansible.builtin.include_role:"]
            yield from [f"        name: {COLLECTION}.{role}", f"        tasks_from: {name}"]
        yield from ["```", ""]
    if spec.get("options"):
        yield from ["## Variables" if name == "main" else "### Variables", ""]
        yield from ["| variable | type | default | what it is |", "|---|---|---|---|", *rows(spec["options"]), ""]
    if spec.get("attributes"):
        yield from ["## Attributes" if name == "main" else "### Attributes", ""]
        yield from ["| attribute | support | what it means |", "|---|---|---|", *attribute_rows(spec["attributes"]), ""]


def readme(role: str, specs: dict[str, Any]) -> str:
    """The README of a role."""
    lines = [f"# Role `{COLLECTION}.{role}`", "", NOTICE, ""]
    lines += [markdown(specs["main"]["short_description"]).rstrip(".") + ".", ""]
    for name, spec in specs.items():
        lines += entry_point(name, spec, role)
    return "\n".join(lines).rstrip() + "\n"


def differences(role: str, specs: dict[str, Any], defaults: dict[str, Any]) -> Iterator[str]:
    """Say where a role's defaults and its argument specs differ."""
    options: dict[str, Any] = {}
    for spec in specs.values():
        options.update(spec.get("options") or {})
    prefix = role.lstrip("_") + "_"
    for name in sorted({*options, *defaults}):
        if not name.startswith(prefix):
            yield f"roles/{role}: {name} does not begin with {prefix}"
        if name not in options:
            yield f"roles/{role}: {name} is in defaults/main.yml and not in meta/argument_specs.yml"
            continue
        specified = options[name].get("default", MISSING)
        if specified is MISSING and name in defaults:
            yield f"roles/{role}: {name} has a default in defaults/main.yml and none in meta/argument_specs.yml"
        elif specified is not MISSING and name not in defaults:
            yield f"roles/{role}: {name} has a default in meta/argument_specs.yml and none in defaults/main.yml"
        elif specified is not MISSING and (specified != defaults[name] or type(specified) is not type(defaults[name])):
            yield f"roles/{role}: {name} is {defaults[name]!r} in defaults/main.yml and {specified!r} in the specs"


def load(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; an empty one when there is no file."""
    return (yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else None) or {}


def main(arguments: list[str]) -> int:
    """Write or check every role; returns the exit status."""
    check = arguments == ["--check"]
    if arguments and not check:
        print(__doc__)
        return 2
    problems = []
    for directory in sorted(path for path in (ROOT / "roles").iterdir() if path.is_dir()):
        specs = load(directory / "meta" / "argument_specs.yml").get("argument_specs")
        if not specs:
            problems.append(f"roles/{directory.name}: no meta/argument_specs.yml")
            continue
        problems += differences(directory.name, specs, load(directory / "defaults" / "main.yml"))
        path = directory / "README.md"
        wanted = readme(directory.name, specs)
        if path.exists() and path.read_text(encoding="utf-8") == wanted:
            continue
        if check:
            problems.append(f"roles/{directory.name}/README.md is not up to date: type  make docs")
        else:
            path.write_text(wanted, encoding="utf-8")
            print(f"wrote {path.relative_to(ROOT)}")
    print("\n".join(problems) or "Role READMEs and defaults agree with the argument specs.")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
