"""Check the installation and say what to do where something is wrong.

Print versions, nnU-Net's folders, the trainer look-up, the device, the settings that decide speed and the load of the
machine. Exits with 1 if there is a problem.
"""

import argparse
import contextlib
import importlib.util
import io
import os
import platform
import shutil
import warnings
from collections.abc import Iterator
from importlib import metadata
from types import SimpleNamespace
from typing import Literal, NamedTuple

from nnunet_eas import startup

DISTRIBUTION = "nnunet-eas"
STARTUP_FILE = "hatch_autorun_nnunet_eas.pth"
TRAINER = "EASUNetTrainer"

Level = Literal["ok", "warning", "problem"]


class Finding(NamedTuple):
    """One line of the report; a warning or problem has a remedy of one line."""

    level: Level
    text: str
    remedy: str = ""


def judged(is_ok: bool, text: str, remedy: str, level: Level = "problem") -> Finding:
    """A finding that has a remedy only where it is not ok."""
    return Finding("ok", text) if is_ok else Finding(level, text, remedy)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds nothing: the command has no options."""


def run(args: argparse.Namespace) -> int:
    """Prints every finding as it comes; returns 1 if one of them is a problem, else 0."""
    levels = []
    # the load comes first: later checks import PyTorch, which is a load of its own
    for check in (check_load, check_versions, check_folders, check_lookup, check_device, check_workers):
        for finding in check():
            levels.append(finding.level)
            print(f"{finding.level:<8} {finding.text}", flush=True)
            if finding.remedy:
                print(f"{'':<8} -> {finding.remedy}", flush=True)
    print(f"{levels.count('problem')} problem(s), {levels.count('warning')} warning(s)")
    return int("problem" in levels)


def check_load() -> Iterator[Finding]:
    """The machine's load: PyTorch's threads spin while they wait for one whose core is busy with something else."""
    if not hasattr(os, "getloadavg"):  # Windows
        return
    cores, load, threads = os.cpu_count() or 1, os.getloadavg()[0], os.environ.get("OMP_NUM_THREADS", "")
    has_few_threads = threads.isdecimal() and int(threads) + load <= cores + 0.5
    yield judged(
        load <= cores / 4 or has_few_threads or os.environ.get("OMP_WAIT_POLICY", "").upper() == "PASSIVE",
        f"load: {load:.1f} busy processes in the last minute, {cores} cores",
        "on shared cores, PyTorch on the CPU can take ten times as long: export OMP_WAIT_POLICY=PASSIVE, or fewer "
        f"threads with export OMP_NUM_THREADS={max(1, int(cores - load))}",
        "warning",
    )


def check_versions() -> Iterator[Finding]:
    """The versions of Python and of the packages that our and nnU-Net's metadata restrict."""
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet

    ours = _installed(DISTRIBUTION)
    if ours is None:
        text = f"{DISTRIBUTION} is not installed, only imported"
        yield Finding("problem", text, "pip install . in its source folder")
        return
    python, supported = platform.python_version(), SpecifierSet(ours.metadata["Requires-Python"])
    remedy = f"make an environment with Python {supported}"
    yield judged(supported.contains(python, prereleases=True), f"python {python}", remedy)
    yield Finding("ok", f"{DISTRIBUTION} {ours.version} at {os.path.dirname(startup.__file__)}")

    lines = [line for owner in (ours, _installed("nnunetv2")) if owner for line in owner.requires or ()]
    required = [r for r in map(Requirement, lines) if r.marker is None or r.marker.evaluate({"extra": ""})]
    for name in ("nnunetv2", "dynamic-network-architectures", "torch"):
        wanted = SpecifierSet(",".join(str(r.specifier) for r in required if r.name == name))
        pip_line = f'pip install "{name}{wanted}"'
        # the imported module may be another one than the installed one, so the text says where it is
        distribution, spec = _installed(name), importlib.util.find_spec(name.replace("-", "_"))
        if distribution is None:
            yield Finding("problem", f"{name} is not installed", pip_line)
        elif spec is None:
            text = f"{name} is installed but cannot be imported"
            yield Finding("problem", text, f"pip install --force-reinstall {name}")
        else:
            place = os.path.dirname(spec.origin or "")
            text = f"{name} {distribution.version} (supported: {wanted or 'any'}) at {place}"
            yield judged(wanted.contains(distribution.version, prereleases=True), text, pip_line)


def _installed(name: str) -> metadata.Distribution | None:
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None


def check_folders() -> Iterator[Finding]:
    """nnU-Net's three folders: set, existing, writable."""
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        folder = os.environ.get(name)
        if not folder:
            remedy = f"nnU-Net's commands need it (the demo does not): export {name}=FOLDER"
            yield Finding("warning", f"{name} is not set", remedy)
        elif not os.path.isdir(folder):
            yield Finding("problem", f"{name}={folder} is not a folder", f'mkdir -p "{folder}"')
        elif os.access(folder, os.W_OK):
            yield Finding("ok", f"{name}={folder}")
        elif name == "nnUNet_raw":
            yield Finding("warning", f"{name}={folder} is read-only", "fine unless data is to be converted into it")
        else:
            remedy = f'chmod u+w "{folder}", or choose another folder'
            yield Finding("problem", f"{name}={folder} is not writable", remedy)


def check_lookup() -> Iterator[Finding]:
    """Whether nnU-Net's own look-up finds our trainer, and the same class that Python imports."""
    variable, off = startup.SEARCH_PATH_VARIABLE, startup.SWITCH_OFF_VARIABLE
    by_hand = f'export {variable}="{startup.LOOKUP_FOLDER}"'

    if startup.is_switched_off():
        yield Finding("warning", f"start-up registration: switched off by {off}", f"unset {off}")
    else:
        is_there = any(file.name == STARTUP_FILE for file in metadata.files(DISTRIBUTION) or ())
        text = f"start-up registration: {STARTUP_FILE} is {'installed' if is_there else 'missing'}"
        reinstall = f"pip install --force-reinstall --no-deps {DISTRIBUTION} (or . in its source folder)"
        yield judged(is_there, text, reinstall)
    if startup.is_registered():
        yield Finding("ok", f"{variable}={os.environ[variable]}")
        for folder in filter(None, os.environ[variable].split(os.pathsep)):
            if not os.path.isdir(folder):
                yield Finding("warning", f"{variable} names {folder}, which is no folder", "correct or remove it")
    else:
        yield Finding("problem", f"{variable} lacks {startup.LOOKUP_FOLDER}", by_hand)

    look_up = f"nnU-Net's look-up finds {TRAINER}, the class that is installed"
    try:
        # the look-up prints every module that it searches, and imports many that warn
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name

            from nnunet_eas.trainer import EASUNetTrainer

            found = recursive_find_trainer_class_by_name(TRAINER)
        remedy = f"rename that class, or take its folder out of {variable}"
        if found is not EASUNetTrainer:
            look_up = f"nnU-Net's look-up finds another {TRAINER}, from module {found.__module__}"
        yield judged(found is EASUNetTrainer, look_up, remedy)
    except Exception as error:  # the look-up imports the user's modules, which can raise anything
        text = f"nnU-Net's look-up of {TRAINER} fails: {type(error).__name__}: {error}"
        remedy = f"fix or remove the folder of {variable} that it names; without one: {by_hand}"
        yield Finding("problem", text, remedy)


def check_device() -> Iterator[Finding]:
    """The device to compute on, and whether nnU-Net uses torch.compile there."""
    import torch
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    from nnunet_eas.gpu import depthwise, layout

    remedy = "add -device {} to nnU-Net's commands: {}"
    if torch.cuda.is_available():
        device = torch.device("cuda")
        memory = torch.cuda.get_device_properties(device).total_memory / 2**30
        yield Finding("ok", f"device: cuda, {torch.cuda.get_device_name(device)}, {memory:.0f} GiB")
    elif torch.backends.mps.is_available():
        device = torch.device("mps")
        yield Finding("warning", "device: mps", remedy.format("mps", "their default is cuda"))
    else:
        device = torch.device("cpu")
        yield Finding("warning", "device: cpu, no GPU that PyTorch can use", remedy.format("cpu", "it is slow"))

    # nnU-Net's own rule, which needs no more of a trainer than this
    trainer = SimpleNamespace(device=device, print_to_log_file=lambda *args, **kwargs: None)
    compiles = nnUNetTrainer._do_i_compile(trainer)
    setting = os.environ.get("nnUNet_compile", "unset")
    text = f"torch.compile: training {'compiles' if compiles else 'does not compile'} (nnUNet_compile is {setting})"
    can = any(map(shutil.which, ("cc", "gcc", "clang"))) and importlib.util.find_spec("triton")
    if compiles and not can:
        yield Finding("warning", f"{text}, but Triton or a C compiler is missing", "export nnUNet_compile=0")
    else:
        yield Finding("ok", text)
    for variable, choices in ((layout.VARIABLE, layout.LAYOUTS), (depthwise.VARIABLE, depthwise.CHOICES)):
        if os.environ.get(variable, choices[0]) not in (*choices, ""):
            text = f"{variable} must be one of {', '.join(choices)}, got {os.environ[variable]}"
            yield Finding("problem", text, f"unset {variable}")


def check_workers() -> Iterator[Finding]:
    """The two variables that set how many processes nnU-Net starts."""
    cores = os.cpu_count() or 1
    for name, default, purpose in (
        ("nnUNet_n_proc_DA", min(12, cores), "data augmentation"),
        ("nnUNet_def_n_proc", 8, "preprocessing and export"),
    ):
        value, remedy = os.environ.get(name), f"export {name}={cores}"
        if value is not None and not value.isdecimal():
            yield Finding("problem", f"{name} must be a whole number, got {value!r}", remedy)
            continue
        count, origin = (default, "unset: nnU-Net's default") if value is None else (int(value), "set")
        text = f"{name}: {count} process(es) for {purpose} ({origin}; {cores} cores)"
        yield judged(count <= cores, text, remedy, "warning")
