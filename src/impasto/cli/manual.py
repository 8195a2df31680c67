"""The manual page, made from the command line itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cyclopts import App, ArgumentCollection


@dataclass(frozen=True)
class Option:
    """An option or argument of a command as help tells it.

    Attributes:
        names: as typed, "--size N".
        help: a sentence.
        default: as typed; empty for none.
    """

    names: str
    help: str
    default: str


def options_of(app: App, command: str) -> list[Option]:
    """The options of a command, in the order of its help screen."""
    arguments: ArgumentCollection = app[command].assemble_argument_collection()
    return [_option(argument) for argument in arguments if argument.show]


def commands_of(app: App) -> list[str]:
    """The names of the commands, in the order of the help screen."""
    names = [name for name in app.resolved_commands() if not name.startswith("-")]
    return sorted(names, key=lambda name: (app[name].sort_key or 0, name))


def manual(app: App, version: str) -> str:
    """impasto(1) in the language of man pages (groff's man macros)."""
    return "\n".join(_lines(app, version)) + "\n"


def _lines(app: App, version: str) -> Iterator[str]:
    yield f'.TH IMPASTO 1 "" "impasto {version}" "User Commands"'
    yield from (".SH NAME", "impasto \\- paint a photograph in the style of a painting")
    yield from (".SH SYNOPSIS", ".B impasto", ".I COMMAND", "[\\fIOPTIONS\\fR]")
    for command in commands_of(app):
        yield f".SH IMPASTO {command.upper()}"
        yield _escaped(app[command].help)
        for option in options_of(app, command):
            yield from (".TP", f".B {_escaped(option.names)}")
            default = f" [{option.default}]" if option.default else ""
            yield _escaped(option.help + default)
    yield ".SH EXIT STATUS"
    yield "0 painted; 2 something that you can mend; 1 anything else; 130 stopped by Ctrl-C, 143 by SIGTERM."
    yield ".SH FILES"
    yield _escaped("impasto.toml, here and in the folder that impasto config names, holds defaults of your own.")


def _option(argument: Any) -> Option:
    parameter = argument.parameter
    names = [name for name in argument.names if name.startswith("-")] or [argument.name]
    value = argument.parameter.metavar
    shown = parameter.show_default
    default = argument.field_info.default if shown in (None, True) else shown
    plain = default if isinstance(default, str | int | float) and default not in (False, "False", "", True) else ""
    return Option(", ".join(names) + (f" {value}" if value else ""), parameter.help or "", str(plain))


def _escaped(text: str) -> str:
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text[:1] in (".", "'") else text
