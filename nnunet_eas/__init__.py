"""EAS U-Net for nnU-Net v2: network, trainer, planner, and the functions under the commands.

This file runs at every start of Python in the environment (see `nnunet_eas.startup`), so that it imports nothing: a
public name is imported when it is first used.
"""

TYPE_CHECKING = False  # type checkers take it for true; `typing` would cost milliseconds at every start of Python
if TYPE_CHECKING:
    from dataset_conversion.convert import convert
    from nnunet_eas.crossval.predict_best import predict_best
    from nnunet_eas.evaluation.evaluate import evaluate
    from nnunet_eas.inference.export import export
    from nnunet_eas.inference.predict import predict
    from nnunet_eas.morphometry.quantify import quantify
    from nnunet_eas.network.eas_unet import EASUNet
    from nnunet_eas.plans.planner import EASUNetPlanner
    from nnunet_eas.reporting.report import report
    from nnunet_eas.sharing.inspect import inspect
    from nnunet_eas.sharing.pack import pack
    from nnunet_eas.sharing.unpack import unpack
    from nnunet_eas.trainer import EASUNetTrainer

__version__ = "0.2.0"
__all__ = [
    "EASUNet",
    "EASUNetPlanner",
    "EASUNetTrainer",
    "convert",
    "evaluate",
    "export",
    "inspect",
    "pack",
    "predict",
    "predict_best",
    "quantify",
    "report",
    "unpack",
]

_MODULES = {
    "EASUNet": "nnunet_eas.network.eas_unet",
    "EASUNetPlanner": "nnunet_eas.plans.planner",
    "EASUNetTrainer": "nnunet_eas.trainer",
    "convert": "dataset_conversion.convert",
    "evaluate": "nnunet_eas.evaluation.evaluate",
    "export": "nnunet_eas.inference.export",
    "inspect": "nnunet_eas.sharing.inspect",
    "pack": "nnunet_eas.sharing.pack",
    "predict": "nnunet_eas.inference.predict",
    "predict_best": "nnunet_eas.crossval.predict_best",
    "quantify": "nnunet_eas.morphometry.quantify",
    "report": "nnunet_eas.reporting.report",
    "unpack": "nnunet_eas.sharing.unpack",
}


def __getattr__(name: str) -> object:
    """Imports a public name at its first use."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The names of the module, with the public ones that are not imported yet."""
    return sorted({*globals(), *__all__})
