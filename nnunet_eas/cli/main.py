"""The command `nnunet-eas`: its subcommands, their errors, its exit status."""

import argparse
import signal
import sys
import traceback
from collections.abc import Sequence

import nnunet_eas
from nnunet_eas.cli import (
    convert,
    crossval,
    demo,
    doctor,
    evaluate,
    export,
    inspect,
    pack,
    plan_and_preprocess,
    plan_experiment,
    plan_info,
    predict,
    predict_best,
    quantify,
    report,
    status,
    unpack,
)

COMMANDS = {
    "demo": demo,
    "doctor": doctor,
    "convert": convert,
    "plan_experiment": plan_experiment,
    "plan_and_preprocess": plan_and_preprocess,
    "plan_info": plan_info,
    "crossval": crossval,
    "status": status,
    "predict": predict,
    "predict-best": predict_best,
    "evaluate": evaluate,
    "quantify": quantify,
    "report": report,
    "export": export,
    "pack": pack,
    "unpack": unpack,
    "inspect": inspect,
}

EXPECTED_ERRORS = (ValueError, RuntimeError, OSError, ModuleNotFoundError)
"""Errors that a user can fix, `PartialSuccess` among them. Any other is our mistake and keeps its traceback."""


def build_parser() -> argparse.ArgumentParser:
    """Builds the parser of all subcommands, whose help is their modules' docstrings."""
    parser = argparse.ArgumentParser(prog="nnunet-eas", description="EAS U-Net for nnU-Net v2.")
    parser.add_argument("--version", action="version", version=f"nnunet-eas {nnunet_eas.__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    subparsers = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        title, _, description = (command.__doc__ or "").partition("\n\n")
        text = title[:1].lower() + title[1:].removesuffix(".")
        command.add_options(subparsers.add_parser(name, help=text, description=description))
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one subcommand.

    Args:
        argv: The arguments without the program's name. None takes them from the command line.

    Returns:
        The exit status: the subcommand's own, 1 after an error, 130 after an interruption. (Wrong usage exits with 2.)
    """
    args = build_parser().parse_args(argv)
    try:
        return COMMANDS[args.command].run(args)
    except EXPECTED_ERRORS as error:
        if args.debug:
            traceback.print_exc()
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on", file=sys.stderr)
        return 130


def script() -> None:
    """Runs the console script: `main`, after which an interruption changes nothing."""
    status = main()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # interrupted, Python's own clean-up would end in a traceback
    sys.exit(status)


if __name__ == "__main__":
    script()
