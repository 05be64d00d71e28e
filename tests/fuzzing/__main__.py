"""scripts/fuzz: see `--help`."""

from __future__ import annotations

import argparse
import faulthandler
import sys
import tempfile
import time
from collections import Counter
from itertools import count
from pathlib import Path

from fuzzing.case import Case, Finding
from fuzzing.draw import draw
from fuzzing.parts import PARTS, run_case
from fuzzing.shrink import shrink
from fuzzing.watch import limit_memory
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.instance import Instance
from llmsched_mip.io.files import write_instance

SLOW_S = 10.0
STUCK_S = 600.0
SHRINK_S = 40.0
PAGE, PAGE_EVERY = "page", 10


def main(arguments: list[str] | None = None) -> int:
    """Run the stream for some seconds; 1 where anything was found."""
    given = _arguments(arguments)
    run = Run(given.seed, given.out, given.parts)
    began = time.monotonic()
    for k in [given.only] if given.only is not None else count():
        if given.only is None and time.monotonic() - began >= given.seconds:
            break
        faulthandler.dump_traceback_later(STUCK_S, exit=True, file=sys.__stderr__)
        run.instance(k)
        if k % 25 == 24:
            print(f"fuzz: {run.summary()}", file=sys.stderr, flush=True)
    faulthandler.cancel_dump_traceback_later()
    print(run.summary())
    for kind, number in sorted(run.checks.items()):
        print(f"  {kind}: {number}")
    return 1 if run.found else 0


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/fuzz",
        description="Random instances through every bound, method, policy and file, against independent oracles. "
        "Prints a line a finding, writes its shrunk instance, and ends with 1 where there is one.",
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="real time after which no instance is begun")
    parser.add_argument("--seed", type=int, default=1, help="of the stream of instances")
    parser.add_argument("--only", type=int, metavar="K", help="only the K-th instance of the stream, from 0")
    parser.add_argument("--parts", default="", metavar="PREFIX", help="only parts that begin so, e.g. bound:area")
    parser.add_argument("--out", type=Path, default=Path("fuzz"), metavar="DIR", help="folder for what is found")
    return parser.parse_args(arguments)


class Run:
    """One stream: what was checked, what was found, what was slow."""

    def __init__(self, seed: int, out: Path, prefix: str = ""):
        self.seed, self.out = seed, out
        self.parts = tuple(part for part in PARTS if part.startswith(prefix))
        self.checks: Counter[str] = Counter()
        self.instances = self.refused = self.slow = 0
        self.found: list[Finding] = []
        self._known: set[tuple[str, str]] = set()
        self._folder = tempfile.TemporaryDirectory(prefix="fuzz-")

    def summary(self) -> str:
        """One line."""
        return (
            f"seed {self.seed}: {self.instances} instances ({self.refused} refused), "
            f"{sum(self.checks.values())} checks, {self.slow} slow, {len(self.found)} findings"
        )

    def instance(self, k: int) -> None:
        """Draw and check the k-th instance; shrink and write what is new."""
        try:
            instance = draw(self.seed, k)
        except InvalidInputError as error:
            self.refused += 1
            if len(str(error).splitlines()) != 1:
                self._report(Finding("one line", ("instance",), repr(str(error))), k, None)
            return
        self.instances += 1
        began = time.monotonic()
        parts = tuple(part for part in self.parts if part != PAGE or k % PAGE_EVERY == 0)
        case = self._case(instance, parts)
        self.checks += case.checks
        seconds = time.monotonic() - began
        if seconds > SLOW_S:
            self.slow += 1
            cut = f", cut short: {', '.join(case.slow)}" if case.slow else ""
            print(f"fuzz: slow: {instance.name} took {seconds:.1f} s{cut}", file=sys.stderr, flush=True)
        for finding in {finding.key: finding for finding in case.findings}.values():
            self._report(finding, k, instance)

    def _case(self, instance: Instance, parts: tuple[str, ...]) -> Case:
        case = Case(instance, Path(self._folder.name))
        run_case(case, parts)
        return case

    def _report(self, finding: Finding, k: int, instance: Instance | None) -> None:
        """Shrink, write and print a finding; of findings alike only the first is shrunk."""
        self.found.append(finding)
        kind = (finding.check, finding.parts[0])
        name = ""
        if instance is not None and kind not in self._known:
            self._known.add(kind)
            small, finding = self._shrunk(instance, finding)
            self.out.mkdir(parents=True, exist_ok=True)
            words = "-".join((finding.check, finding.parts[0])).replace(" ", "-").replace(":", "-")
            path = self.out / f"{self.seed}-{k}-{words}.json"
            write_instance(small, path)
            name = f" {path}"
        print(f"finding: --seed {self.seed} --only {k}:{name} {finding}", flush=True)

    def _shrunk(self, instance: Instance, finding: Finding) -> tuple[Instance, Finding]:
        end, last = time.monotonic() + SHRINK_S, [finding]

        def fails(other: Instance) -> bool:
            again = [found for found in self._case(other, finding.parts).findings if found.key == finding.key]
            last[:] = again[:1] or last
            return bool(again)

        small = shrink(instance, fails, lambda: time.monotonic() < end)
        return small, last[0]


if __name__ == "__main__":
    limit_memory()
    sys.exit(main())
