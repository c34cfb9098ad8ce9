"""Where a report's numbers come from: networks, runs, machines, packages, openings of the test split, recipes."""

from collections.abc import Sequence

from markupsafe import Markup

from mien.compare.inputs import ComparisonInput, Network
from mien.pages.tables import Column, Data, Table, small
from mien.recipe import Recipe, to_toml
from mien.run import Run, RunData
from mien.text import joined, many, millions, seconds, thousands

COUNTED = ("parameters", "multiply_adds")  # in network.json
STAGE_COLUMNS = (
    *map(Column, ("network", "stage", "kind")),
    Column("label", "stage"),
    Column("layers"),
    Column("shape", "gives", lambda shape: " × ".join(f"{int(n):,}" for n in shape.split("x"))),
    Column("parameters", "parameters", thousands),
    Column("multiply_adds", "multiply-adds", thousands),
)


def data(inputs: ComparisonInput) -> dict[str, Data]:
    """Return what stands in files of their own."""
    of_runs = {
        "histories": _histories(inputs),
        "stages": Data(STAGE_COLUMNS, [row for net in inputs.trained for row in _stages(net)]),
        "openings": _openings(inputs),
    }
    counts = {"counts": _counts(inputs.data)} if inputs.data else {}
    return {"networks": _networks(inputs), **counts, **(of_runs if inputs.trained else {})}


def _runs(inputs: ComparisonInput) -> list[tuple[Network, Run]]:
    return [(net, run) for net in inputs.networks for run in net.runs]


def _networks(inputs: ComparisonInput) -> Data:
    rows = [
        (
            n.name,
            *(n.summary.get(key, "") for key in COUNTED),
            len(n.tables),
            n.folds,
            n.mean_seconds() if n.runs else "",
        )
        for n in inputs.networks
    ]
    return Data.of(("network", *COUNTED, "seeds", "folds", "mean_train_seconds"), rows)


def costs(networks: Sequence[Network]) -> Table:
    """Return what each network costs, a column a network."""
    folds = [("folds", *(str(net.folds) for net in networks))] if networks[0].folds > 1 else []
    rows = [
        ("seeds", *(str(len(net.tables)) for net in networks)),
        *folds,
        ("parameters", *(thousands(net.summary["parameters"]) for net in networks)),
        ("multiply-adds a face", *(millions(net.summary["multiply_adds"]) for net in networks)),
        ("epoch kept, of epochs", *(_epochs(net) for net in networks)),
        (
            f"training, mean of {'folds' if folds else 'seeds'}",
            *(seconds(net.mean_seconds()) for net in networks),
        ),
        ("trained on", *(_engines(net) for net in networks)),
    ]
    return Table("What each network costs", ["", *(net.name for net in networks)], [("", rows)])


def _epochs(net: Network) -> str:
    epochs = [f"{r['kept_epoch']} of {r['epochs']}" for r in (run.result() for run in net.runs)]
    return ", ".join(dict.fromkeys(epochs))


def _engines(net: Network) -> str:
    return Markup("; ").join(dict.fromkeys(engine_text(run) for run in net.runs))


def engine_text(run: Run) -> str:
    """Return on what a run was trained, in words; the threads of a processor stand in a second line."""
    engine = run.engine
    text = f"{engine.get('device', '?')}, {engine.get('precision', '?')}"
    if engine.get("device") == "cpu" and engine.get("threads"):
        return small(text, many(engine["threads"], "thread"))
    return text


def fold_number(run: Run) -> int | str:
    """Return the number of a run's fold, "" for one without."""
    return run.fold.number if run.fold else ""


def _counts(data: RunData) -> Data:
    counts = data.counts
    return Data.of(
        ("split", "class", "faces"), [(s, c, n) for s, of in counts.items() for c, n in of.items()]
    )


def count_table(data: RunData) -> Table:
    """Return the data set's counts, a row a class."""
    counts = data.counts
    splits = list(counts)
    rows = [(c, *(thousands(counts[s].get(c, 0)) for s in splits)) for c in data.labels]
    total = ("all", *(thousands(sum(counts[s].values())) for s in splits))
    return Table("Faces by class and split", ["class", *splits], [("", [*rows, total])])


def _histories(inputs: ComparisonInput) -> Data:
    rows, columns = [], []
    for net, run in _runs(inputs):
        metrics = run.metrics()
        columns = list(metrics[0])
        run_columns = (net.name, run.seed, fold_number(run))
        rows += [(*run_columns, int(row["epoch"]), *list(row.values())[1:]) for row in metrics]
    return Data.of(("network", "seed", "fold", *columns), rows)


def _stages(net: Network) -> list[tuple[str | int, ...]]:
    return [
        (
            net.name,
            i,
            s["kind"],
            s["label"],
            s["layers"],
            "x".join(map(str, s["shape"])),
            *(s[key] for key in COUNTED),
        )
        for i, s in enumerate(net.summary["stages"], start=1)
    ]


def stage_tables(inputs: ComparisonInput) -> list[Table]:
    """Return each network's stages with their cost."""
    return [
        Data(STAGE_COLUMNS, _stages(net)).table(
            f"Stages of {net.name}", last=[("all", "", *(thousands(net.summary[key]) for key in COUNTED))]
        )
        for net in inputs.trained
    ]


def run_table(inputs: ComparisonInput) -> Table:
    """Return where and how long each run was trained."""
    rows = []
    for _, run in _runs(inputs):
        environment = run.environment()
        machine = environment.get("machine", {})
        times = seconds(environment["train_seconds"]), str(len(environment.get("sessions", ())))
        weights = run.result()["weights_sha256"][:12]
        on = engine_text(run), run.engine.get("layout", ""), machine.get("cpu", "")
        rows.append((run.folder.name, *on, *times, weights))
    head = ["run", "trained on", "layout", "processor", "training", "sessions", "weights (sha256)"]
    return Table("The runs", head, [("", rows)])


def package_table(inputs: ComparisonInput) -> Table:
    """Return the packages' versions over all runs."""
    versions_of: dict[str, dict[str, None]] = {}
    for _, run in _runs(inputs):
        environment = run.environment()
        system = {key: environment.get("machine", {}).get(key) for key in ("python", "system")}
        commit = environment.get("source", {}).get("mien", {}).get("commit")
        commits = {"mien's commit": commit[:12]} if commit else {}
        for name, version in {**system, **environment.get("packages", {}), **commits}.items():
            versions_of.setdefault(name, {})[str(version)] = None
    rows = [(name, joined(list(versions), "or")) for name, versions in versions_of.items()]
    return Table("What the runs were trained with", ["", "version"], [("", rows)])


def _openings(inputs: ComparisonInput) -> Data:
    rows = [
        (run.folder.name, o["time"], o.get("split", ""), o["weights_sha256"], o["data_fingerprint"])
        for _, run in _runs(inputs)
        for o in run.openings()
    ]
    return Data.of(("run", "time", "split", "weights_sha256", "data_fingerprint"), rows)


def openings_table(inputs: ComparisonInput) -> Table:
    """Return every recorded opening of the test split."""
    rows = []
    for _, run in _runs(inputs):
        kept = run.result()["weights_sha256"]
        for opening in run.openings():
            same = "yes" if opening["weights_sha256"] == kept else "no"
            data = "yes" if opening["data_fingerprint"] == run.data.fingerprint else "no"
            if not any(run.data.counts.get("test", {}).values()):
                data = "trained where test was not"
            rows.append((run.folder.name, opening["time"], same, data))
    head = ["run", "time", "with the weights kept", "on this data"]
    return Table("Every recorded opening of the test split", head, [("", rows)])


def chosen_by(recipe: Recipe) -> str:
    """Return which split chose what in a run of this recipe, as one sentence."""
    training = recipe.training
    parts = []
    if training.checkpoint == "best":
        parts.append("the epoch whose weights are kept is the one with the highest accuracy on val")
    else:
        parts.append("the last epoch's weights are kept, so no epoch was chosen")
    if training.patience:
        parts.append(f"training ends after {training.patience} epochs without a better accuracy on val")
    else:
        parts.append(f"training always runs for {training.epochs} epochs")
    if recipe.schedule.kind == "plateau":
        parts.append("the learning rate falls when the loss on val stands still")
    return "; ".join(parts)


def origin(inputs: ComparisonInput) -> list[tuple[str, str]]:
    """Return where the faces come from as (name, value), nested names joined."""
    return _flat("", inputs.data.origin) if inputs.data else []


def _flat(name: str, value) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [pair for key, inner in value.items() for pair in _flat(f"{name} {key}".strip(), inner)]
    return [(name, str(value))]


def recipes(inputs: ComparisonInput) -> list[tuple[str, str]]:
    """Return each network's recipe with every field written out."""
    return [(net.name, to_toml(net.runs[0].recipe)) for net in inputs.trained]
