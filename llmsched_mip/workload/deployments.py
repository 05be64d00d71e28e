"""Named deployments: worker profiles with measured or calibrated times, one JSON file each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.instance import Worker
from llmsched_mip.io.files import read_worker
from llmsched_mip.names import DEPLOYMENTS

FOLDER = Path(__file__).resolve().parent.parent / "deployments"


def deployment(name: str, *, published: bool = False) -> Worker:
    """Return a deployment by its name, or read one from a worker file.

    Parameters
    ----------
    name : str
        One of `DEPLOYMENTS`, or the path of a ``.json`` file.
    published : bool
        A named deployment as families, stored instances and published results have it: without the prefill cap,
        which came later.  A file stays as it is.

    Raises
    ------
    InvalidInputError
        For an unknown name; the message lists the known ones.
    UnreadableFileError
        For a file that cannot be read.
    """
    if name in DEPLOYMENTS:
        worker = read_worker(FOLDER / f"{name}.json")
        return replace(worker, prefill_token_cap=None) if published else worker
    if name.endswith((".json", ".json.gz")):
        return read_worker(name)
    raise InvalidInputError(
        "worker", f"unknown deployment {name!r}, expected one of {', '.join(DEPLOYMENTS)} or a .json file"
    )


def deployment_file(name: str) -> Path:
    """The worker file of a deployment, or the path that is given as one; nothing is read."""
    return FOLDER / f"{name}.json" if name in DEPLOYMENTS else Path(name)
