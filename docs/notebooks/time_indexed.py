import pyomo.environ as pyo

from llmsched_mip import Plan, Stage


def build(instance):
    p, d = instance.requests.prefill_tokens.tolist(), instance.requests.decode_tokens.tolist()
    M, T, n = instance.workers[0].kv_capacity, sum(d), instance.n
    model = pyo.ConcreteModel()
    model.starts = pyo.Set(initialize=[(i, t) for i in range(n) for t in range(T - d[i] + 1)])
    model.x = pyo.Var(model.starts, domain=pyo.Binary)

    def once(m, i):
        return sum(m.x[i, t] for t in range(T - d[i] + 1)) == 1

    def kv(m, t):
        held = [
            (p[i] + t - s + 1) * m.x[i, s]
            for i in range(n)
            for s in range(max(0, t - d[i] + 1), min(t, T - d[i]) + 1)
        ]
        return sum(held) <= M if held else pyo.Constraint.Skip

    model.once = pyo.Constraint(range(n), rule=once)
    model.kv = pyo.Constraint(range(T), rule=kv)
    model.total = pyo.Objective(expr=sum((t + d[i]) * model.x[i, t] for i, t in model.starts))
    return model


def extract(model, instance):
    start = {i: t for i, t in model.starts if model.x[i, t].value > 0.5}
    times = sorted(set(start.values()))
    last = max(t + int(instance.requests.decode_tokens[i]) for i, t in start.items())
    stages = [
        Stage([i for i in start if start[i] == t], None, after - t)
        for t, after in zip(times, [*times[1:], last], strict=True)
    ]
    return Plan.of(instance, "time indexed", [stages])
