# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The grammar of the command line.

Options that every command has may stand before or behind the command's name. Mistakes are UsageErrors that name
the nearest right word.
"""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, Callable, NoReturn, Optional

from ..errors import UsageError
from ..version import VERSION

EXIT_CODES: tuple[tuple[int, str], ...] = (
    (0, "done, or nothing was to be done"),
    (1, "another error that the message names"),
    (2, "a bad option or configuration; a confirmation that was not given"),
    (3, "a database or file to be backed up is missing, damaged or cannot be read"),
    (4, "the archive directory is missing, read-only or full"),
    (5, "the key is missing, wrong or readable by others; an archive could not be judged"),
    (6, "an archive is missing, damaged or foreign; a verification failed"),
    (7, "another run holds the lock, or a process holds the database open"),
    (8, "a restore could not be done; what was there is in place again"),
    (70, "a defect of this program; run again with --debug"),
    (130, "stopped by Ctrl-C; 143 by SIGTERM, 129 by a hang-up"),
)
STATUS_EXIT_CODES: tuple[tuple[int, str], ...] = (
    (0, "OK"), (1, "WARNING"), (2, "CRITICAL"), (3, "UNKNOWN, and every error"),
)


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that raises UsageError instead of printing and leaving."""

    def error(self, message: str) -> NoReturn:
        words = self.prog.split(" ", 1)
        raise UsageError(words[1] if len(words) > 1 else "command line", message, f"See '{self.prog} --help'")


def nearest(word: str, words: Sequence[str]) -> str:
    """``"; did you mean 'list'?"`` for the word of ``words`` that is near enough, else an empty text."""
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else ""


def one_of(*words: str) -> Callable[[str], str]:
    """An argparse type that takes one of ``words`` and else names the nearest."""
    def convert(text: str) -> str:
        if text not in words:
            raise argparse.ArgumentTypeError(
                f"'{text}' is none of {', '.join(words)}{nearest(text, words)}")
        return text
    return convert


def whole_number(low: int) -> Callable[[str], int]:
    """An argparse type: a decimal whole number of at least ``low``."""
    def convert(text: str) -> int:
        if not re.match(r"\A\d{1,9}\Z", text, re.ASCII) or int(text) < low:
            raise argparse.ArgumentTypeError(f"'{text}' is not a whole number of at least {low}")
        return int(text)
    return convert


def exit_code_table(codes: Sequence[tuple[int, str]]) -> str:
    """The exit codes as they stand below the help."""
    return "\n".join(["exit codes:"] + [f"  {code:>3}  {meaning}" for code, meaning in codes])


def build_parser(program: str, commands: Mapping[str, ModuleType]) -> Parser:
    """The whole grammar. Each module of ``commands`` has SUMMARY, DESCRIPTION, ``configure(parser)`` and
    ``run(context)``, and may have EXIT_CODES of its own."""
    parser = Parser(prog=program, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter,
                    description="Backups of a live SQLite application that are proven to restore.",
                    epilog=exit_code_table(EXIT_CODES) + f"\n\n'{program} COMMAND --help' tells more of one command.")
    parser.add_argument("--version", action="version", version=f"{program} {VERSION}")
    add_common_options(parser)
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", parser_class=Parser)
    for name, module in commands.items():
        command = subparsers.add_parser(
            name, help=module.SUMMARY, description=module.DESCRIPTION, allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            epilog=exit_code_table(getattr(module, "EXIT_CODES", EXIT_CODES)))
        module.configure(command)
        add_common_options(command, behind=True)
        command.set_defaults(command_usage=command.format_usage())
    return parser


def add_common_options(parser: argparse.ArgumentParser, *, behind: bool = False) -> None:
    """The options of every command. ``behind`` the command's name an option that is not given leaves no trace, so
    that one given before the name stays."""
    def value(plain: object) -> Any:
        return argparse.SUPPRESS if behind else plain

    where = parser.add_argument_group("configuration (each overrides the configuration files, which may be absent)")
    where.add_argument("--config", metavar="DIR", default=value(None),
                       help="directory of the configuration files (default: /etc/ and the name of the program)")
    where.add_argument("--application", metavar="NAME", default=value(None), help="name that the archives begin with")
    where.add_argument("--directory", metavar="DIR", default=value(None), help="directory of the archives")
    where.add_argument("--key-file", metavar="FILE", default=value(None), help="key of the archives")
    how = parser.add_argument_group("output")
    how.add_argument("--json", action="store_true", default=value(False),
                     help="one JSON document on standard output, for errors too")
    how.add_argument("-v", "--verbose", action="store_true", default=value(False), help="every figure and each phase")
    how.add_argument("--debug", action="store_true", default=value(False), help="a traceback with every error")


def parse(parser: Parser, commands: Sequence[str], arguments: Sequence[str]) -> argparse.Namespace:
    """The options of one run. Raises UsageError; SystemExit after ``--help``."""
    first = first_word(parser.prog, arguments)
    if first is not None and first not in commands:
        raise UsageError(first, f"there is no such command{nearest(first, commands)}",
                         f"The commands are {', '.join(commands)}; see '{parser.prog} --help'")
    options, unknown = parser.parse_known_args(list(arguments))
    if options.command is None:
        raise UsageError("command line", "a command is missing",
                         f"The commands are {', '.join(commands)}; see '{parser.prog} --help'")
    if unknown:
        what = "unknown option" if unknown[0].startswith("-") else "unexpected argument"
        known = re.findall(r"--[a-z-]+", options.command_usage)
        raise UsageError(options.command, f"{what} '{unknown[0]}'{nearest(unknown[0].split('=')[0], known)}",
                         f"See '{parser.prog} {options.command} --help'")
    return options


def first_word(program: str, arguments: Sequence[str]) -> Optional[str]:
    """The first argument that is neither a common option nor the value of one: the command's name."""
    scout = Parser(prog=program, add_help=False, allow_abbrev=False)
    add_common_options(scout)
    scout.add_argument("word", nargs="?")
    words: list[str] = [word for word in arguments if word not in ("-h", "--help", "--version")]
    word: Optional[str] = scout.parse_known_args(words)[0].word
    return word


def octal_mode(text: str) -> int:
    """An argparse type: permission bits as chmod(1) takes them, ``0600``."""
    if not re.match(r"\A0?[0-7]{3}\Z", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"'{text}' is not an octal mode like 0600")
    return int(text, 8)
