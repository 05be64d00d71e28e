"""A plan as an order that others can follow: a table, priorities for vLLM, the lines of an OpenAI batch file."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Iterator
from typing import NamedTuple

from llmsched_mip.errors import InvalidInputError, InvalidPlanError
from llmsched_mip.evaluation import evaluate
from llmsched_mip.instance import Instance
from llmsched_mip.plan import Plan

FORMATS = ("csv", "vllm", "openai-batch")
COLUMNS = ("id", "worker", "position", "planned_start_s", "planned_first_token_s", "planned_end_s")
LONGEST_NAME = 100


class Turn(NamedTuple):
    """When a request's turn is.

    Parameters
    ----------
    id, worker : str
    position : int
        Place in the order of its worker, from 0.
    start_s, first_token_s, end_s : float
        Planned start of its prefill iteration, first token and completion, seconds from the start of the plan.
    """

    id: str
    worker: str
    position: int
    start_s: float
    first_token_s: float
    end_s: float


def turns(instance: Instance, plan: Plan) -> dict[str, list[Turn]]:
    """The order of every worker of the instance, by its name; a worker without requests has an empty one.

    Raises
    ------
    InvalidPlanError
        The plan is not a feasible plan of this instance.
    """
    evaluation = evaluate(instance, plan)
    if evaluation.violations:
        raise InvalidPlanError(f"not a feasible plan of {instance.name}: {evaluation.violations[0]}")
    ids, schedule = instance.requests.id, evaluation.schedule
    start, first, end = (
        times.tolist() for times in (schedule.prefill_start_s, schedule.first_token_s, schedule.completion_s)
    )
    found: dict[str, list[Turn]] = {worker.name: [] for worker in instance.workers}
    for stages in plan.workers:
        found[stages.name] = [
            Turn(ids[i], stages.name, position, start[i], first[i], end[i])
            for position, i in enumerate(stages.requests.tolist())
        ]
    return found


def csv_table(orders: dict[str, list[Turn]]) -> str:
    """A row a request, worker after worker, in the order of each: the columns `COLUMNS`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for order in orders.values():
        writer.writerows(order)
    return text.getvalue()


def vllm_priorities(orders: dict[str, list[Turn]], as_object: bool = False) -> str:
    """For each request its worker and the ``priority`` to send with it: its position, the least is served first.

    JSONL, or with `as_object` one JSON object by request id.
    """
    entries = [(turn.id, {"worker": turn.worker, "priority": turn.position}) for turn in _all(orders)]
    if as_object:
        rows = ",\n".join(f" {json.dumps(name)}: {json.dumps(entry)}" for name, entry in entries)
        return f"{{\n{rows}\n}}\n"
    return "".join(json.dumps({"id": name, **entry}) + "\n" for name, entry in entries)


def batch_files(orders: dict[str, list[Turn]], content: bytes, source: str) -> dict[str, bytes]:
    """The lines of an OpenAI batch file in the order of each worker, by its name, every line byte for byte.

    Parameters
    ----------
    orders : dict of str to list of Turn
        See `turns`; the id of a request is the ``custom_id`` of its line.
    content : bytes
        The batch file.  Empty lines, and a byte order mark, belong to no request and are left out; a last line
        without an end gets one.
    source : str
        Its name, for messages.

    Raises
    ------
    InvalidInputError
        A line that is no JSON object with a ``custom_id``, an id that the plan does not have, an id that stands
        twice, or a request of the plan that has no line.
    """
    wanted = {turn.id for turn in _all(orders)}
    lines: dict[str, bytes] = {}
    numbers: dict[str, int] = {}
    for number, line in enumerate(content.removeprefix(codecs.BOM_UTF8).split(b"\n"), 1):
        if not line.strip():
            continue
        name = _custom_id(line, f"{source}: line {number}")
        if name in lines:
            raise InvalidInputError(
                "custom_id", f"{name!r} stands in line {numbers[name]} too", None, f"{source}: line {number}"
            )
        if name not in wanted:
            raise InvalidInputError("custom_id", f"{name!r} is not in the plan", None, f"{source}: line {number}")
        lines[name], numbers[name] = line + b"\n", number
    missing = [turn.id for turn in _all(orders) if turn.id not in lines]
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise InvalidInputError("custom_id", f"no line for request {missing[0]!r} of the plan{more}", None, source)
    return {worker: b"".join(lines[turn.id] for turn in order) for worker, order in orders.items()}


def file_names(workers: list[str]) -> dict[str, str]:
    """A file name for each worker's lines: its own name, where that is one and no other worker has it."""
    names: dict[str, str] = {}
    for k, worker in enumerate(workers):
        name = re.sub(r"[^\w.-]", "_", worker)[:LONGEST_NAME].lstrip(".")
        if not name or f"{name}.jsonl".lower() in {used.lower() for used in names.values()}:
            name = f"{name}-{k}"
        names[worker] = f"{name}.jsonl"
    return names


def _all(orders: dict[str, list[Turn]]) -> Iterator[Turn]:
    return (turn for order in orders.values() for turn in order)


def _custom_id(line: bytes, source: str) -> str:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError("", f"not JSON: {error}", None, source) from None
    if not isinstance(document, dict):
        raise InvalidInputError("", f"expected a JSON object, got {type(document).__name__}", None, source)
    name = document.get("custom_id")
    if not isinstance(name, str):
        raise InvalidInputError(
            "custom_id", "missing" if name is None else f"expected a string, got {name!r}", None, source
        )
    return name
