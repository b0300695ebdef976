"""bench/RESULTS.md from what bench/run measured: tables of medians with least and most, and each goal as met or not."""

import json
import pathlib
import statistics
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
FLOOR, RECEIVER = "empty Rust function", "webhook-receiver"
PEERS = ("Node.js", "Node.js, one file by esbuild", "Python")


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join("---" for _ in head) + " |"]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def middle(samples, key):
    return statistics.median(s[key] for s in samples)


def ms(samples, key):
    """Median with least and most, in ms."""
    values = [s[key] * 1000 for s in samples]
    return f"{number(statistics.median(values))} ({number(min(values))}-{number(max(values))})"


def number(value):
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def own_wall(samples):
    return [{"own": s["wall"] - s["wait"]} for s in samples]


def cold(samples):
    floor = middle(samples[FLOOR], "cpu")
    rows = []
    for name, of in samples.items():
        first, again = middle(of, "first_cpu"), middle(of, "warm_cpu")
        rows.append((
            name, ms(of, "init_cpu"), ms(of, "first_cpu"), ms(of, "cpu"), f"{middle(of, 'cpu') / floor:.1f}",
            f"{number(again * 1000)}", f"{first / again:.1f}", ms(own_wall(of), "own"), number(middle(of, "wait") * 1000),
            f"{middle(of, 'calls'):.0f}", f"{max(s['peak_mb'] for s in of):.1f}",
        ))
    head = (
        "program", "CPU of its start, ms", "CPU of its first event, ms", "CPU to the first answer, ms", "times the floor",
        "CPU of a later event, ms", "first / later", "wall to the first answer without waits, ms", "waits, ms", "calls to services", "peak MB",
    )
    return table(head, rows)


def starved(samples):
    head = ("program", "wall of its start, ms", "wall of its first event, ms", "wall to the first answer without waits, ms", "CPU to it, ms")
    return table(head, [
        (name, ms(of, "init_wall"), ms(of, "first_wall"), ms(own_wall(of), "own"), ms(of, "cpu")) for name, of in samples.items()
    ])


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def warm(measured):
    rows = []
    for name, of in measured.items():
        each = [e["cpu"] * 1000 for e in of["events"]]
        # This process works while the program does: its own time is not taken off so short a wall.
        own = [(e["wall"] - e["unanswered"]) * 1000 for e in of["events"]]
        mean = statistics.fmean(each)
        rows.append((
            name, str(len(each)), f"{1000 / mean:,.0f}", f"{mean:.3f}", f"{percentile(each, 0.5):.3f}", f"{percentile(each, 0.99):.3f}",
            f"{percentile(own, 0.5):.2f}", f"{percentile(own, 0.99):.2f}", f"{statistics.fmean(e['calls'] for e in of['events']):.1f}",
            f"{of['peak_mb']:.1f}",
        ))
    head = (
        "program", "events", "events per second of one core", "CPU of an event, ms", "p50", "p99", "wall without services p50, ms", "p99",
        "calls to services", "peak MB",
    )
    return table(head, rows)


def sizes(places):
    run = subprocess.run(
        ["bench/size", "--json", "--from", places["target"] + "/lambda"], cwd=ROOT, capture_output=True, text=True, check=False,
    )
    return {row["function"]: (row["bootstrap"] / 1e6, row["zip"] / 1e6) for row in json.loads(run.stdout)}


class Goals:
    def __init__(self):
        self.rows = []

    def most(self, what, limit, values, unit=""):
        """Each of `values` (name to figure) at most `limit`; the largest is shown, and who is over."""
        over = [name for name, value in values.items() if value > limit]
        worst = max(values, key=values.get)
        seen = f"{number(values[worst])}{unit}" + (f" ({worst})" if len(values) > 1 else "")
        self.rows.append((what, f"{number(limit)}{unit}", seen, f"**not met** by {', '.join(over)}" if over else "met"))

    def least(self, what, limit, values):
        under = [name for name, value in values.items() if value < limit]
        worst = min(values, key=values.get)
        self.rows.append((what, f"{limit} x", f"{values[worst]:.0f} x ({worst})", f"**not met** beside {', '.join(under)}" if under else "met"))


def goals(result, sizes_mb):
    of, warm_of = result["cold"], result["warm"]
    ours = {name: samples for name, samples in of.items() if name != FLOOR and name not in PEERS}
    out = Goals()
    floor = middle(of[FLOOR], "cpu")
    out.most("CPU to the first answer, of the floor's", 2.5, {n: middle(s, "cpu") / floor for n, s in ours.items()}, " x")
    out.most("CPU of the first event, of a later one's", 3, {n: middle(s, "first_cpu") / middle(s, "warm_cpu") for n, s in ours.items()}, " x")
    quick = lambda group, name: middle(own_wall(group[name]), "own")
    out.least("sooner to the first answer, wall without waits", 15, {p: quick(of, p) / quick(of, RECEIVER) for p in PEERS})
    if result["starved"]:
        hungry = result["starved"]
        out.least("the same at 7.2 % of a core", 15, {p: quick(hungry, p) / quick(hungry, RECEIVER) for p in PEERS})
    mean = lambda name: statistics.fmean(e["cpu"] for e in warm_of[name]["events"]) * 1000
    above = lambda name: {RECEIVER: mean(name) - mean(FLOOR)}
    out.most("CPU of an accepted webhook above the floor's", 0.5, above("webhook-receiver, accepted"), " ms")
    out.most("CPU of a refused webhook above the floor's", 0.1, above("webhook-receiver, refused"), " ms")
    peak = {name: max(s["peak_mb"] for s in samples) for name, samples in ours.items()}
    for name, samples in warm_of.items():
        peak[name.split(",")[0]] = max(peak.get(name.split(",")[0], 0), samples["peak_mb"])
    others = [name for name in ours if name != RECEIVER]
    for what, receiver_limit, limit, seen in (
        ("memory", 12, 20, peak),
        ("bootstrap", 7, 10, {n: s[0] for n, s in sizes_mb.items()}),
        ("zip", 3, 4.5, {n: s[1] for n, s in sizes_mb.items()}),
    ):
        out.most(f"{what} of the receiver", receiver_limit, {RECEIVER: seen[RECEIVER]}, " MB")
        out.most(f"{what} of the others", limit, {n: seen[n] for n in others}, " MB")
    return table(("goal", "limit", "seen", ""), out.rows)


def page(result, places, starts, share):
    sizes_mb = sizes(places)
    lines = ["# What was measured", "", "Written by `bench/run`; do not edit. What is measured how is in [README.md](README.md).", ""]
    lines += [f"- {line}" for line in places["machine"]] + [""]
    if places["trees"]:
        lines += table(("source", "tree"), [(f"`{source}`", f"`{tree}`") for source, tree in places["trees"]]) + [""]
    lines += ["## Goals", ""] + goals(result, sizes_mb)
    lines += ["", f"## Cold: {starts} starts of each, in turns", "", "Median (least-most).", ""] + cold(result["cold"])
    lines += ["", f"## Cold, with {share:.1%} of a core like 128 MB: {starts} starts of each, in turns", ""]
    if result["starved"]:
        lines += ["Lambda gives a start more than that, so of these only the first event's column carries over.", ""] + starved(result["starved"])
    else:
        lines += ["Not measured: this machine lets nobody make a control group with a CPU limit."]
    lines += ["", "## Warm", ""] + warm(result["warm"])
    lines += ["", "## Size", ""]
    lines += table(("function", "bootstrap MB", "zip MB"), [(n, f"{b:.2f}", f"{z:.2f}") for n, (b, z) in sizes_mb.items()])
    return "\n".join(lines) + "\n"
