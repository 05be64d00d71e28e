"""Named deployments: worker profiles with measured or calibrated times, one JSON file each."""

from __future__ import annotations

from pathlib import Path

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.instance import Worker
from llmsched_mip.io.files import read_worker
from llmsched_mip.names import DEPLOYMENTS

FOLDER = Path(__file__).resolve().parent.parent / "deployments"


def deployment(name: str) -> Worker:
    """Return a deployment by its name, or read one from a file of the same form.

    Parameters
    ----------
    name : str
        One of `DEPLOYMENTS`, or the path of a ``.json`` file.

    Raises
    ------
    InvalidInputError
        For an unknown name; the message lists the known ones.
    UnreadableFileError
        For a file that cannot be read.
    """
    if name in DEPLOYMENTS:
        return read_worker(FOLDER / f"{name}.json")
    if name.endswith((".json", ".json.gz")):
        return read_worker(name)
    raise InvalidInputError(
        "worker", f"unknown deployment {name!r}, expected one of {', '.join(DEPLOYMENTS)} or a .json file"
    )
