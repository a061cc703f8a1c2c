"""nnU-Net's postprocessing as JSON: functions by name, and their keyword arguments."""

from __future__ import annotations

from typing import Any

from nnunet_eas.support.safe_pickle import FUNCTIONS, Postprocessing, checked_postprocessing


def to_json(postprocessing: Postprocessing) -> dict[str, Any]:
    """The content of postprocessing.json; a region, which is a tuple for nnU-Net, is an object there."""
    names = {function: name for name, function in FUNCTIONS.items()}
    return {
        "functions": [
            {"function": names[function], "keywords": {key: _region_to_json(value) for key, value in keywords.items()}}
            for function, keywords in zip(*postprocessing, strict=True)
        ]
    }


def from_json(content: dict[str, Any]) -> Postprocessing:
    """The postprocessing of `to_json`; a ValueError where it is not nnU-Net's."""
    try:
        listed = [(one["function"], one["keywords"]) for one in content["functions"]]
        keywords = [{key: _region_from_json(value) for key, value in of_one.items()} for _, of_one in listed]
        return checked_postprocessing([name for name, _ in listed], keywords)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"other entries ({type(error).__name__})") from error


def _region_to_json(value: Any) -> Any:
    if isinstance(value, tuple):
        return {"region": [_region_to_json(one) for one in value]}
    return [_region_to_json(one) for one in value] if isinstance(value, list) else value


def _region_from_json(value: Any) -> Any:
    if isinstance(value, dict):
        return tuple(_region_from_json(one) for one in value["region"])
    return [_region_from_json(one) for one in value] if isinstance(value, list) else value
