"""Draw synthetic knees, train on them, predict others, score the predictions.

Draw a small set of synthetic knees, then plan, preprocess, train EASUNetTrainer and predict unseen knees with nnU-Net's
own commands, and score the predictions. Everything is written below the output folder. Run the same command again to
resume after an interruption; finished stages are kept. Other options need another folder.
"""

import argparse
import time
from pathlib import Path

from nnunet_eas import startup
from nnunet_eas.support.device import DEVICES


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    output = "new, empty or an earlier demo's folder (default: %(default)s)"
    add("--output", type=Path, default=Path("nnunet_eas_demo"), metavar="DIR", help=output)
    add("--quick", action="store_true", help="only show that everything runs; the scores mean nothing")
    device = "device to train on (default: the best of this machine)"
    add("--device", choices=DEVICES, default="auto", help=device)
    add("--seed", type=int, default=0, help="another seed draws other knees (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    started = time.monotonic()
    if args.seed < 0:
        raise ValueError(f"--seed must be 0 or more, got {args.seed}. Give a whole number.")

    from nnunet_eas.demo.pipeline import PICTURES, RESULTS, Demo
    from nnunet_eas.demo.scores import table

    demo = Demo(args.output, quick=args.quick, seed=args.seed, device=args.device, lookup_folder=startup.LOOKUP_FOLDER)
    print(f"nnU-Net with EAS U-Net on synthetic knees, in {demo.root}", flush=True)
    results = demo.run()
    print(f"\n{table(results['mean'], cases=demo.settings.test_knees)}\n")
    if args.quick:
        print("A quick demo learns almost nothing: these scores only show that everything runs.")
    print(f"Scores          {demo.root / RESULTS}")
    print(f"Pictures        {demo.root / PICTURES}")
    print(f"Trained model   {demo.model_folder}")
    print(f"Predict with it {demo.predict_command()}")
    in_stages = sum(results["seconds"].values())
    print(f"This run took {time.monotonic() - started:.0f} s, the stages as they were run {in_stages:.0f} s.")
    return 0
