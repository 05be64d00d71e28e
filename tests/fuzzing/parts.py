"""The parts of the toolkit that the fuzzer runs, and the comparison of what they gave."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from fractions import Fraction
from xml.etree import ElementTree

from event_log_checker import check_log
from reference_simulator import prefill_seconds

from fuzzing.case import Case, Made, at_most, same
from llmsched_mip import bounds
from llmsched_mip.budget import Budget
from llmsched_mip.evaluation import evaluate
from llmsched_mip.execution import Executor, replay
from llmsched_mip.instance import Instance
from llmsched_mip.io.files import plan_document, read_instance, read_plan, write_instance, write_plan
from llmsched_mip.methods import METHODS, solve
from llmsched_mip.plan import Plan
from llmsched_mip.policies import POLICIES, make_policy
from llmsched_mip.policies.protocol import VISIBILITY, Problem
from llmsched_mip.tolerance import RELATIVE_TOLERANCE

LIMIT_S = 0.4
MOST_LOGGED = 20_000
WITH_PLAN = ("plan", "plan-order", "lagrangian", "lagrangian-stochastic")
RESTARTS = ("geometric-slicing",)
ALLOWED = ("needs lengths 'known'", "needs decode_lower and decode_upper")


def run_case(case: Case, parts: Iterable[str]) -> None:
    """Run the parts, then compare what they gave with each other and with the optimum."""
    for part in parts:
        kind, _, name = part.partition(":")
        case.guarded(part, lambda kind=kind, part=part, name=name: KINDS[kind](case, part, name), ALLOWED)
    _compare(case)


def _bound(case: Case, part: str, name: str) -> None:
    for bound in bounds.compute(case.instance, Budget(LIMIT_S), names=[name]):
        finite = math.isfinite(bound.value)
        case.expect(finite, "finite", part, f"{bound.value!r}")
        if finite:
            case.bounds.append((part, bound.name, bound.value))


def _solve(case: Case, part: str, name: str) -> None:
    result = solve(case.instance, method=name, time_limit_s=LIMIT_S, threads=1)
    plan = result.plan
    exact = case.plan(part, plan)
    for failure in getattr(result, "failures", ()):
        case.add("failure", part, str(failure))
    case.expect(
        result.status in ("optimal", "feasible") and result.value is not None,
        "claims",
        part,
        f"{result.status!r}",
    )
    for name_of_bound, value in result.bounds.items():
        finite = math.isfinite(value)
        case.expect(finite, "finite", part, f"bound {name_of_bound} {value!r}")
        if finite:
            case.bounds.append((part, name_of_bound, value))
    if exact is None:
        return
    case.made.append(Made(part, exact, result.status == "optimal"))
    _claims(case, part, plan, float(exact))


def _claims(case: Case, part: str, plan: Plan, value: float) -> None:
    """The claims of a plan file: bound, gap and status agree."""
    claims = plan.claims
    if claims.bound is None:
        case.expect(claims.gap is None and claims.status == "feasible", "claims", part, "a gap without a bound")
        return
    gap = (value - claims.bound) / value if value else 0.0
    case.expect(at_most(claims.bound, value), "claims", part, f"bound {claims.bound!r} of a plan of {value!r}")
    best = min(value, max(claims.bounds.values(), default=claims.bound))
    case.expect(same(best, Fraction(claims.bound)), "claims", part, f"bound {claims.bound!r} of {claims.bounds}")
    right = claims.gap is not None and abs(claims.gap - gap) <= 2 * RELATIVE_TOLERANCE
    case.expect(right, "claims", part, f"gap {claims.gap!r}, it is {gap!r}")
    case.expect(claims.status != "optimal" or gap <= RELATIVE_TOLERANCE, "claims", part, f"optimal at a gap of {gap!r}")


def _compare(case: Case) -> None:
    """Bounds, values and proofs against each other and against the optimum."""
    least = min(case.made, key=lambda made: made.value, default=None)
    for part, name, value in dict.fromkeys(case.bounds):
        if case.optimum is not None:
            message = f"{name} {value!r}, the optimum is {case.optimum!r}"
            case.expect(at_most(value, case.optimum), "bound above optimum", part, message)
        elif least is not None:
            parts = tuple(dict.fromkeys((part, least.part)))
            message = f"{name} {value!r}, a plan of {float(least.value)!r}"
            case.expect(at_most(value, least.value), "bound above plan", parts, message)
    for made in case.made:
        best, parts = case.optimum, (made.part,)
        if best is not None:
            message = f"{float(made.value)!r}, the optimum is {best!r}"
            case.expect(at_most(best, made.value), "below optimum", made.part, message)
        elif least is not None:
            best, parts = float(least.value), tuple(dict.fromkeys((made.part, least.part)))
        if made.proven and best is not None:
            message = f"optimal {float(made.value)!r}, there is {best!r}"
            case.expect(at_most(made.value, best), "false optimum", parts, message)


def _replay(case: Case, part: str, name: str) -> None:
    """Execute a policy: its event log, the plan that ran, and its measures."""
    policy, _, lengths = name.partition(":")
    instance, events = case.instance, []
    plan = _some_plan(instance) if policy in WITH_PLAN else None
    executor = Executor(instance, make_policy(policy, Problem.of(instance, lengths, plan)), events.append)
    executor.run()
    outcome = executor.outcome(policy, 0.0)
    if _log_can_be_read(instance, outcome):
        try:
            check_log(instance, events, outcome, policy in RESTARTS)
            case.checks["event log"] += 1
        except AssertionError as error:
            case.add("event log", part, f"{error} ({case.place(error)})")
    if lengths == "known" and policy not in RESTARTS:
        case.expect(outcome.evictions == 0, "evictions", part, f"{outcome.evictions} with known lengths")
    if outcome.evictions:
        return
    ran = outcome.to_plan(instance)
    exact = case.plan(part, ran)
    if exact is None:
        return
    value = outcome.measures.objective(instance.objective)
    case.expect(same(value, exact), "value", part, f"{value!r}, exactly {float(exact)!r}")
    case.made.append(Made(part, exact, False))


def _some_plan(instance: Instance) -> Plan:
    return replay(instance, "longest-first").to_plan(instance)


def _log_can_be_read(instance: Instance, outcome) -> bool:
    """Whether iterations take long enough that moments can be told apart, and are not too many to go through."""
    least = min(
        min(
            prefill_seconds(worker.prefill_time, 1),
            worker.decode_time.base_s + worker.decode_time.per_sequence_s + worker.decode_time.per_kv_token_s,
        )
        for worker in instance.workers
    )
    few = outcome.measures.decode_rounds <= MOST_LOGGED and int(instance.requests.decode_tokens.sum()) <= MOST_LOGGED
    return few and least > 1e-7 * outcome.measures.makespan


def _files(case: Case, part: str, name: str) -> None:
    """Instance and plan files say after reading what they said before writing."""
    instance, path = case.instance, case.folder / "instance.json"
    write_instance(instance, path)
    again = read_instance(path)
    equal = (again.digest, again.name, again.objective) == (instance.digest, instance.name, instance.objective)
    case.expect(equal, "round trip", part, f"digest {again.digest}, before {instance.digest}")
    plan = _some_plan(instance)
    value = evaluate(instance, plan).measures.objective(instance.objective)
    plan = plan.with_claims(value, {"none": 0.0}, 0.0)
    write_plan(plan, instance, case.folder / "plan.json")
    read = read_plan(case.folder / "plan.json", again)
    equal = plan_document(read, again) == plan_document(plan, instance)
    case.expect(equal, "round trip", part, "the plan is another one after reading")
    case.plan(part, read)


def _page(case: Case, part: str, name: str) -> None:
    """A report and a picture of a plan: well formed, and no note that something is wrong."""
    from llmsched_mip.report.data import read_report
    from llmsched_mip.report.formats import csv_text, data_columns
    from llmsched_mip.report.gantt import gantt_document
    from llmsched_mip.report.gantt_svg import gantt_svg
    from llmsched_mip.report.page import report_page

    instance, path = case.instance, case.folder / "plan.json"
    plan = _some_plan(instance)
    value = evaluate(instance, plan).measures.objective(instance.objective)
    write_instance(instance, case.folder / "instance.json")
    write_plan(plan.with_claims(value, {"none": 0.0}, 0.0), instance, path)
    report = read_report([path], [case.folder / "instance.json"])
    case.expect(not report.notes, "page", part, "; ".join(report.notes))
    report_page(report)
    csv_text(data_columns(report.rows))
    picture = gantt_svg(gantt_document(instance, plan))
    ElementTree.fromstring(picture)
    case.expect("nan" not in picture and "inf" not in picture, "page", part, "NaN or infinity in a picture")


KINDS: dict[str, Callable[[Case, str, str], None]] = {
    "bound": _bound,
    "solve": _solve,
    "replay": _replay,
    "files": _files,
    "page": _page,
}
PARTS = (
    *(f"bound:{name}" for name in bounds.BOUNDS),
    *(f"solve:{name}" for name in METHODS),
    *(f"replay:{name}:{lengths}" for name in POLICIES for lengths in VISIBILITY),
    "files",
    "page",
)
