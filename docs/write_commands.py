"""Writes docs/reference/commands.md from the parser of the command `nnunet-eas`: `python docs/write_commands.py`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from nnunet_eas.cli.main import build_parser

PAGE = Path(__file__).parent / "reference" / "commands.md"
HEAD = """# Commands

This page is written by `docs/write_commands.py` from the commands' own help (`nnunet-eas COMMAND --help`).

Every command exits with 0 after success, with 1 after an error or where some cases failed, with 2 after wrong usage,
and with 130 when it was interrupted. `nnunet-eas --debug COMMAND` shows the traceback of an error.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *_sections(build_parser(), "nnunet-eas", level=2)])


def _sections(parser: argparse.ArgumentParser, name: str, level: int) -> Iterator[str]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command, subparser in action.choices.items():
                yield from _section(subparser, f"{name} {command}", level)
                yield from _sections(subparser, f"{name} {command}", level + 1)


def _section(parser: argparse.ArgumentParser, name: str, level: int) -> Iterator[str]:
    yield f"{'#' * level} {name}\n"
    yield f"{' '.join((parser.description or '').split())}\n"
    shown = (argparse._HelpAction, argparse._SubParsersAction)
    actions = [action for action in parser._actions if not isinstance(action, shown)]
    if actions:
        yield "| argument | meaning |\n| --- | --- |"
        for action in actions:
            yield f"| `{_usage(action)}`{' (required)' if _is_required(action) else ''} | {_meaning(action)} |"
        yield ""


def _usage(action: argparse.Action) -> str:
    value = "" if action.nargs == 0 else _value(action)
    if not action.option_strings:
        return value
    return f"{', '.join(action.option_strings)} {value}".strip()


def _value(action: argparse.Action) -> str:
    if action.metavar is None and action.choices is not None:
        name = "{" + ",".join(map(str, action.choices)) + "}"
    else:
        name = str(action.metavar or (action.dest.upper() if action.option_strings else action.dest))
    return f"{name} ..." if action.nargs == "+" else name


def _is_required(action: argparse.Action) -> bool:
    return action.required and bool(action.option_strings)


def _meaning(action: argparse.Action) -> str:
    text = action.help or ""
    is_number_of_cores = action.dest == "workers" and text.startswith("processes")  # differs between machines
    return (text % {"default": "all cores" if is_number_of_cores else action.default}).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
