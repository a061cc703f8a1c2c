"""`nnunet-eas demo`: phantom knees through the whole of nnU-Net, on any computer, in minutes."""

import argparse
import json
import time
from pathlib import Path

from nnunet_eas import startup


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `demo` to the command's parser."""
    parser = subparsers.add_parser(
        "demo",
        help="draw phantom knees, train on them, predict others, score them",
        description="Draw a small set of phantom knees, then plan, preprocess, train EASUNetTrainer and predict unseen "
        "knees with nnU-Net's own commands, and score them. Everything lies below the output folder. Run the same "
        "command again to go on after an interruption; what is finished is kept. Other options need another folder.",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("nnunet_eas_demo"),
        metavar="DIR",
        help="new, empty or an earlier demo's folder (default: %(default)s)",
    )
    parser.add_argument("--quick", action="store_true", help="only show that everything runs; the scores mean nothing")
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda", "mps"),
        default="auto",
        help="where to train (default: the best there is)",
    )
    parser.add_argument("--seed", type=int, default=0, help="another seed draws other knees (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Run the demo; 0 when it has reached its end."""
    started = time.monotonic()
    if args.seed < 0:
        raise ValueError(f"--seed must be 0 or more, got {args.seed}. Give a whole number.")

    from nnunet_eas.demo.device import choose_device
    from nnunet_eas.demo.workspace import Workspace, write_json

    device = choose_device(args.device)
    workspace = Workspace(args.output, options={"quick": args.quick, "seed": args.seed})
    lock = workspace.lock()
    print(f"nnU-Net with EAS U-Net on phantom knees, in {workspace.root}", flush=True)

    from nnunet_eas.demo import report
    from nnunet_eas.demo.commands import Commands
    from nnunet_eas.demo.pipeline import PICTURES, RESULTS, SCORES, Demo
    from nnunet_eas.demo.settings import DemoSettings

    settings = DemoSettings.quick(args.seed) if args.quick else DemoSettings.full(args.seed)
    demo = Demo(workspace, Commands(workspace.root, lookup_folder=startup.LOOKUP_FOLDER, lock=lock), settings, device)
    demo.run()

    results = json.loads((workspace.root / SCORES).read_text())
    seconds = demo.seconds()
    write_json(workspace.root / RESULTS, {**results, "seconds": seconds})
    print(f"\n{report.table(results['mean'], cases=settings.test_knees)}\n")
    if args.quick:
        print("A quick demo learns next to nothing: these scores only show that everything runs.")
    print(f"Scores          {workspace.root / RESULTS}")
    print(f"Pictures        {workspace.root / PICTURES}")
    print(f"Trained model   {demo.model_folder}")
    print(f"Predict with it {demo.predict_command()}")
    print(
        f"This run took {time.monotonic() - started:.0f} s, the stages as they were run {sum(seconds.values()):.0f} s."
    )
    return 0
