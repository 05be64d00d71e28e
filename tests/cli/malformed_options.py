"""Values of options that every command refuses in one line."""

from __future__ import annotations

NO_COUNT = ["0", "-1", "1.5", "x", "", "nan", "1e3", "9" * 30]
OPTIONS: dict[tuple[str, ...], dict[str, list[str]]] = {
    ("solve", "good.json"): {
        "--objective": ["speed", "", "make span"],
        "--method": ["nonsense", "", "auto:1"],
        "--time-limit": ["-1", "nan", "inf", "x", ""],
        "--gap": ["-0.1", "nan", "inf", "x"],
        "--threads": NO_COUNT,
        "--seed": ["-1", "1.5", "x", ""],
        "--solver": ["nonsense", "none.py"],
        "--nonsense": ["1"],
    },
    ("bound", "good.json"): {"--objective": ["speed"], "--time-limit": ["-1", "nan", "x"], "--nonsense": ["1"]},
    ("replay", "good.json"): {
        "--policy": ["nonsense", "", "plan:1", "fcfs:0", "sorted-f:zzz", "sorted-f:", "mc-sf:nan", "mc-sf:1", "mc-sf:x",
                     "mc-sf:inf", "lagrangian-stochastic:0", "lagrangian-stochastic:nan", ":", "plan:x"],
        "--lengths": ["all"],
    },
    ("replay", "good.json", "--policy", "fcfs"): {
        "--lengths": ["all", "", "Known"],
        "--seed": ["-1", "x", "1.5"],
        "--nonsense": ["1"],
    },
    ("check",): {"--nonsense": ["1"]},
    ("generate", "gsm8k-small", "-o", "out.json"): {
        "--requests": NO_COUNT,
        "--seed": ["-1", "x", "1.5"],
        "--worker": ["nonsense", "", "none.json"],
        "--slots": NO_COUNT,
        "--rate": ["0", "-1", "nan", "inf", "x", "1e-320"],
        "--intervals": ["0.5", "nan", "inf", "-1", "x"],
        "--predictions": ["nonsense", "", "lognormal", "lognormal:x", "lognormal:-1", "lognormal:nan", "lognormal:inf",
                          "lognormal:1:2", "biased:2", "biased:2:0", "biased:2:nan", "wrong:2:1.5", "wrong:2:nan",
                          "wrong:0.5:0.5", "intervals:0", "intervals:inf"],
    },
    ("import", "csv", "trace.csv", "-o", "out.json"): {"--worker": ["nonsense", "", "none.json", "folder"]},
    ("import", "csv", "trace.csv", "-o", "out.json", "--worker", "unit-round"): {
        "--decode-column": ["none", ""],
        "--prefill-column": ["none"],
        "--arrival-column": ["none"],
        "--id-column": ["none"],
        "--name": ["", "\udce9"],
        "--limit": NO_COUNT[:-1],
        "--slots": NO_COUNT,
        "--workers": NO_COUNT,
        "--kv-capacity": ["0", "-1", "x", "", "9" * 30, "engine"],
        "--prefill-cap": ["0", "-1", "x", "", "9" * 30, "1.5"],
        "--interval-quantile": ["0.5", "-1", "1.5", "nan", "x"],
        "--decode-quantile": ["-1", "2", "nan", "x"],
        "--max-tokens": NO_COUNT[:-1],
    },
    ("import", "batch.jsonl", "-o", "out.json", "--worker", "unit-round"): {
        "--tokenizer": ["none.json", "folder", "good.json"],
        "--decode-column": ["none", "", "body.none"],
    },
    ("worker", "new", "mine"): {
        "--like": ["nonsense", "none.json", "folder", ""],
        "--prefill": ["x", "1", "1:2:3", "-1:0", "nan:0", ""],
        "--decode": ["x", "1:2:3:4", "-1", "inf", ""],
    },
    ("worker", "new", "mine", "--like", "unit-round"): {
        "--slots": NO_COUNT,
        "--kv-capacity": ["0", "x"],
        "--prefill-cap": ["0", "x"],
        "--output": ["folder", "none/x.json"],
        "--source": [""],
    },
    ("export", "good.json", "-o", "out.lp"): {"--model": ["nonsense", "", "none.py", "folder.py"]},
    ("export", "good.json", "-o", "out.lp", "--model", "mmbpp"): {"--objective": ["speed"]},
    ("study", "study.toml", "--out", "out"): {
        "--jobs": NO_COUNT,
        "--engine": ["nonsense", ""],
        "--scheduler": ["tcp://127.0.0.1:9"],
    },
    ("report", "plan.json"): {"--format": ["nonsense", "html", ""], "--output": ["out.txt", "out"]},
    ("gantt", "plan.json"): {"--output": ["out.txt", "out", ""]},
}  # fmt: skip
