"""A spec to the words around its picture: everything needed to read the picture alone."""

from importlib.metadata import PackageNotFoundError, version

from phase_diagrams.spec import Explicit, JobSpec, Polygon, Stop, ToyModel


def software_version() -> str:
    """The installed version of saephase; "unknown" where it is used without being installed."""
    try:
        return version("saephase")
    except PackageNotFoundError:
        return "unknown"


def label(spec: JobSpec) -> str:
    """The spec's name on one line, without characters that do not print."""
    return "".join(letter for letter in " ".join(spec.name.split()) if letter.isprintable()) or "unnamed"


def caption(spec: JobSpec, stride: int = 1) -> str:
    """Model, code law, budget, thresholds, seeds, intervals, version; `stride` cells to a glyph."""
    data, training, recovery, seeds = spec.data, spec.training, spec.recovery, len(spec.grid.seeds)
    firing: str = data.code.firing.kind
    if firing == "zipf":
        firing += f" (exponent {data.code.firing.exponent:g})"
    sentences = [
        f"{label(spec)}: n = {data.n_features} features in n_p = {data.n_inputs} inputs, "
        f"superposition {superposition_words(spec)}",
        f"Code {data.code.kind}, magnitude {data.code.magnitude}, firing {firing}, noise {data.noise:g}",
        f"SAE {'tied, without bias' if spec.sae.tied else 'untied, with biases'}; Adam, {training.steps:,} steps × "
        f"{training.batch_size:,} samples, learning rate {training.learning_rate:g} ({training.schedule})"
        f"{_stop_words(training.stop)}",
        f"Identified: at least {100 * recovery.fraction:g} % of the features matched at cosine ≥ {recovery.cosine:g}",
        f"{'Up to ' if spec.refine else ''}{seeds} seed{'s' * (seeds != 1)} per condition; bands and intervals: 95 %",
    ]
    if stride > 1:
        sentences.append(f"Cells are too small for a glyph each: one in {stride} rows and columns has one")
    sentences.append(f"saephase {software_version()}")
    # A percent sign stays with its number.
    return (". ".join(sentences) + ".").replace(" %", "\u00a0%")


def _stop_words(stop: Stop | None) -> str:
    if stop is None:
        return ""
    return (
        f", fewer (at least a quarter) where the loss falls by at most {100 * stop.tolerance:g} % in {stop.patience:,} "
        "steps and what is identified is clear"
    )


def subtitle(spec: JobSpec, seen: int, missing: int) -> str:
    """What is drawn, and how much of it is there: `seen` conditions have finished trials, `missing` no random start."""
    starts = "random and truth starts" if "truth" in spec.grid.starts else "random starts"
    text = f"Probability that training identifies the features, and their phases, from {starts}"
    if spec.refine is not None:
        text += (
            f"; refinement trained {seen:,} of {spec.n_conditions:,} candidate conditions, the others are left blank"
        )
    elif missing:
        text += f"; {spec.n_conditions - missing:,} of {spec.n_conditions:,} conditions have finished trials"
    return text


def superposition_words(spec: JobSpec) -> str:
    """The law of W_p."""
    law = spec.data.superposition
    if isinstance(law, Polygon):
        return f"polygon ({law.mono} mono, {law.digon} digons, {law.pentagon} pentagons)"
    if isinstance(law, Explicit):
        return "explicit matrix"
    if isinstance(law, ToyModel):
        return f"toy_model (S = {law.sparsity:g}, {law.steps:,} steps, seed {law.seed})"
    return f"random_unit (seed {law.seed})"
