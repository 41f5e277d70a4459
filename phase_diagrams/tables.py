"""The Parquet schemas: every column with its meaning, unit and source."""

import pyarrow as pa

_TRIAL_COLUMNS: list[tuple[str, pa.DataType, str, str]] = [
    ("trial_id", pa.string(), "content hash of all that determines the row", ""),
    ("sparsity", pa.float64(), "S = P(x_i = 0)", "probability"),
    ("hidden_dim", pa.int32(), "n_m, number of latents", "count"),
    ("activation", pa.string(), "kind: topk, batchtopk, relu, relu_l1", ""),
    ("k", pa.int32(), "active latents per sample (topk, batchtopk); null for relu and relu_l1", "count"),
    ("l1", pa.float64(), "L1 penalty (relu_l1); null otherwise", ""),
    ("exponent", pa.float64(), "reweighting exponent alpha, gamma_i = s_i^alpha; 0 is the plain SAE", ""),
    ("seed", pa.int64(), "replicate seed of data and initialisation", ""),
    ("start", pa.string(), "initialisation: random, or truth (decoder rows = feature directions)", ""),
    ("n_features", pa.int32(), "n, number of ground-truth features", "count"),
    ("n_inputs", pa.int32(), "n_p, number of input dimensions", "count"),
    ("mcc", pa.float64(), "mean over the n features of the one-to-one matched signed cosine", "cosine"),
    ("recovered_fraction", pa.float64(), "share of the n features with matched cosine >= recovery.cosine", "share"),
    ("recovered_fraction_90", pa.float64(), "share of the n features with matched cosine >= 0.90", "share"),
    ("recovered_fraction_95", pa.float64(), "share of the n features with matched cosine >= 0.95", "share"),
    ("identified", pa.bool_(), "recovered_fraction >= recovery.fraction", ""),
    ("gt_loss", pa.float64(), "E|x - x_hat|^2 / E|x|^2, latents placed at their matched features", "ratio"),
    ("gt_loss_rescaled", pa.float64(), "gt_loss after the best positive scale per feature", "ratio"),
    ("support_f1", pa.float64(), "mean over features of F1 of matched latent active against feature active", "F1"),
    ("sae_loss", pa.float64(), "E|x_p - reconstruction|^2 / E|x_p|^2, unweighted", "ratio"),
    ("objective", pa.float64(), "the trained loss on the evaluation data (weighted if exponent != 0)", "input units^2"),
    ("loss_slope", pa.float64(), "relative change of the training loss over the last tenth of training", "ratio"),
    ("l0", pa.float64(), "mean number of active latents per sample", "count"),
    ("dead_fraction", pa.float64(), "share of latents never active on the evaluation data", "share"),
    ("shrinkage", pa.float64(), "mean slope of latent on feature over recovered features; 1 = none", "ratio"),
    ("vanished_fraction", pa.float64(), "share of features whose latent is never active when they are", "share"),
    ("merged_fraction", pa.float64(), "share of live latents that merge two features", "share"),
    ("split_fraction", pa.float64(), "share of features with two or more live latents at cosine >= 0.95", "share"),
    ("features_per_latent", pa.float64(), "mean over live latents of features at >= 10 % of its top one", "count"),
    ("feature_cosine", pa.list_(pa.float32()), "matched cosine of each ground-truth feature", "cosine"),
    ("steps", pa.int32(), "optimiser steps taken", "count"),
    ("diverged", pa.bool_(), "the loss or a weight became infinite or NaN; scores are then null", ""),
    ("train_seconds", pa.float64(), "this trial's share of the pack's training time", "s"),
    ("pack_id", pa.string(), "the pack that trained it", ""),
]

KEYS = ["trial_id", "sparsity", "hidden_dim", "activation", "k", "l1", "exponent", "seed", "start"]
"""Columns that say which trial a row is."""

NOT_DETERMINED = ("train_seconds", "pack_id")
"""Columns that tell of one run, not of the trial: all others are the same in every run."""


def _schema(columns: list[tuple[str, pa.DataType, str, str]]) -> pa.Schema:
    return pa.schema(
        [
            pa.field(name, kind, metadata={"description": meaning, "unit": unit, "source": "arXiv 2506.15963"})
            for name, kind, meaning, unit in columns
        ]
    )


TRIALS = _schema(_TRIAL_COLUMNS)
"""Schema of trials.parquet and of the files under packs/."""

CONDITION_KEYS = ("sparsity", "hidden_dim", "activation", "k", "l1", "exponent")
"""The columns that name a condition, in trials and conditions alike."""

METRICS = (
    "mcc",
    "recovered_fraction",
    "recovered_fraction_90",
    "recovered_fraction_95",
    "gt_loss",
    "gt_loss_rescaled",
    "support_f1",
    "sae_loss",
    "objective",
    "loss_slope",
    "l0",
    "dead_fraction",
    "shrinkage",
    "vanished_fraction",
    "merged_fraction",
    "split_fraction",
    "features_per_latent",
)
"""Trial columns whose median over seeds, per start, is a column `<metric>_<start>` of conditions.parquet."""

_CONDITION_COLUMNS: list[tuple[str, pa.DataType, str, str]] = [
    ("sparsity", pa.float64(), "S = P(x_i = 0)", "probability"),
    ("hidden_dim", pa.int32(), "n_m, number of latents", "count"),
    ("activation", pa.string(), "kind: topk, batchtopk, relu, relu_l1", ""),
    ("k", pa.int32(), "active latents per sample; null for relu and relu_l1", "count"),
    ("l1", pa.float64(), "L1 penalty; null unless relu_l1", ""),
    ("exponent", pa.float64(), "reweighting exponent alpha", ""),
    ("n_features", pa.int32(), "n", "count"),
    ("n_inputs", pa.int32(), "n_p", "count"),
    ("n_seeds", pa.int32(), "seeds finished from the random start (diverged ones count as not identified)", "count"),
    ("n_identified", pa.int32(), "of them, seeds identified from the random start", "count"),
    ("p_identified", pa.float64(), "n_identified / n_seeds", "probability"),
    ("p_low", pa.float64(), "lower end of the 95 % Wilson interval of p_identified", "probability"),
    ("p_high", pa.float64(), "upper end of the 95 % Wilson interval of p_identified", "probability"),
    ("n_pairs", pa.int32(), "seeds finished from both starts", "count"),
    ("n_identifiable", pa.int32(), "of them, seeds recovered or optimiser_limited; null without truth starts", "count"),
    ("p_identifiable", pa.float64(), "n_identifiable / n_pairs", "probability"),
    ("p_identifiable_low", pa.float64(), "lower end of the 95 % Wilson interval of p_identifiable", "probability"),
    ("p_identifiable_high", pa.float64(), "upper end of the 95 % Wilson interval of p_identifiable", "probability"),
    ("phase", pa.string(), "recovered, optimiser_limited, objective_limited; not_recovered without truth starts", ""),
    ("phase_certain", pa.bool_(), "false where an interval leaves the phase open", ""),
    ("theory", pa.string(), "what Theorems 1 to 3 say: identifiable, not_identifiable; null where nothing", ""),
    ("disagreement", pa.string(), "theory_only or measurement_only calls it identifiable; null where not certain", ""),
    ("n_diverged", pa.int32(), "trials of either start that diverged", "count"),
    ("mcc_chance", pa.float64(), "expected mcc of a random dictionary (closed form)", "cosine"),
]

CONDITIONS = _schema(
    _CONDITION_COLUMNS
    + [
        (
            f"{metric}_{start}",
            pa.float64(),
            f"median over seeds of {metric}, {start} start",
            TRIALS.field(metric).metadata[b"unit"].decode(),
        )
        for start in ("random", "truth")
        for metric in METRICS
    ]
)
"""Schema of conditions.parquet, one row per condition."""

BOUNDARY = _schema(
    [
        ("activation", pa.string(), "panel: activation kind", ""),
        ("k", pa.int32(), "panel: active latents per sample", "count"),
        ("l1", pa.float64(), "panel: L1 penalty", ""),
        ("exponent", pa.float64(), "panel: reweighting exponent alpha", ""),
        ("boundary", pa.string(), "random-start (identified) or truth-start (recovered or optimiser_limited)", ""),
        ("x_axis", pa.string(), "column that x is a value of", ""),
        ("y_axis", pa.string(), "column that y is a value of", ""),
        ("branch", pa.int32(), "which crossing of P = 1/2 along y, numbered consistently along x", ""),
        ("x", pa.float64(), "place on the x axis, in that column's units", ""),
        ("y", pa.float64(), "where P = 1/2, in the y axis column's units", ""),
        ("y_low", pa.float64(), "lower end of the 95 % band (cut at the grid's edge)", ""),
        ("y_high", pa.float64(), "upper end of the 95 % band (cut at the grid's edge)", ""),
    ]
)
"""Schema of boundary.parquet; empty where no panel has a boundary in range."""

_PANEL_COLUMNS = [
    ("activation", pa.string(), "panel: activation kind", ""),
    ("k", pa.int32(), "panel: active latents per sample", "count"),
    ("l1", pa.float64(), "panel: L1 penalty", ""),
    ("exponent", pa.float64(), "panel: reweighting exponent alpha", ""),
]

DIFFERENCE = _schema(
    [
        *_PANEL_COLUMNS,
        ("other_activation", pa.string(), "activation of the other diagram's panel that it is compared with", ""),
        ("other_exponent", pa.float64(), "exponent of the other diagram's panel", ""),
        ("sparsity", pa.float64(), "S = P(x_i = 0)", "probability"),
        ("hidden_dim", pa.int32(), "n_m, number of latents", "count"),
        ("statistic", pa.string(), "identified (random starts), or identifiable (both starts)", ""),
        ("n_one", pa.int32(), "seeds of the first diagram", "count"),
        ("n_other", pa.int32(), "seeds of the other diagram", "count"),
        ("p_one", pa.float64(), "share of them that are identified (identifiable), first diagram", "probability"),
        ("p_other", pa.float64(), "the same, other diagram", "probability"),
        ("difference", pa.float64(), "p_other - p_one", "probability"),
        ("low", pa.float64(), "lower end of its 95 % interval (Newcombe 1998)", "probability"),
        ("high", pa.float64(), "upper end of its 95 % interval", "probability"),
        ("paired", pa.bool_(), "both sides have the same seeds, compared seed by seed", ""),
        ("p_value", pa.float64(), "two-sided exact p value: McNemar if paired, else Fisher", "probability"),
        (
            "q_value",
            pa.float64(),
            "p value adjusted over the statistic's cells (Benjamini-Hochberg)",
            "probability",
        ),
        ("significant", pa.bool_(), "q_value <= 0.05", ""),
    ]
)
"""Schema of difference.parquet, one row per condition that both diagrams have, and statistic."""

DISPLACEMENT = _schema(
    [
        *_PANEL_COLUMNS,
        ("boundary", pa.string(), "random-start (identified) or truth-start (recovered or optimiser_limited)", ""),
        ("x_axis", pa.string(), "column that x is a value of", ""),
        ("y_axis", pa.string(), "column that y_one and y_other are values of", ""),
        ("x", pa.float64(), "place on the x axis, in that column's units", ""),
        ("y_one", pa.float64(), "where P = 1/2 in the first diagram, in the y axis column's units", ""),
        ("y_other", pa.float64(), "where P = 1/2 in the other diagram", ""),
        ("shift", pa.float64(), "other - first, along the y axis", "decades of 1 - S, or octaves of n_m"),
        ("shift_low", pa.float64(), "lower end of its 95 % band", "decades of 1 - S, or octaves of n_m"),
        ("shift_high", pa.float64(), "upper end of its 95 % band", "decades of 1 - S, or octaves of n_m"),
    ]
)
"""Schema of displacement.parquet, one row per place at which both diagrams have a boundary."""

CUT = _schema(
    [
        ("diagram", pa.string(), "name of the job", ""),
        ("n_features", pa.int32(), "n", "count"),
        ("axis", pa.string(), "what varies along the cut: sparsity, hidden_dim, k or exponent", ""),
        ("value", pa.float64(), "place along the axis, in that column's units", ""),
        ("quantity", pa.string(), "identified, identifiable (probabilities), or a metric of trials.parquet", ""),
        ("start", pa.string(), "random or truth; null for identifiable, which takes both", ""),
        ("n_seeds", pa.int32(), "seeds that it rests on", "count"),
        ("estimate", pa.float64(), "share of seeds, or median of the metric over seeds", ""),
        ("low", pa.float64(), "lower end of the interval: Wilson's for shares, order statistics for medians", ""),
        ("high", pa.float64(), "upper end of the interval", ""),
        ("confidence", pa.float64(), "its confidence: 0.95, or what the range of few seeds has", "probability"),
    ]
)
"""Schema of cut.parquet, one row per place, quantity and start."""
_REWEIGHTED_SCORES = ("recovered_fraction", "mcc", "gt_loss", "sae_loss")

REWEIGHTING = _schema(
    [
        ("sparsity", pa.float64(), "S = P(x_i = 0)", "probability"),
        ("hidden_dim", pa.int32(), "n_m, number of latents", "count"),
        ("activation", pa.string(), "kind: topk, batchtopk, relu, relu_l1", ""),
        ("k", pa.int32(), "active latents per sample; null for relu and relu_l1", "count"),
        ("l1", pa.float64(), "L1 penalty; null unless relu_l1", ""),
        ("n_features", pa.int32(), "n", "count"),
        ("n_inputs", pa.int32(), "n_p", "count"),
        ("proxy", pa.string(), "what s_i is in gamma_i = s_i^alpha", ""),
        ("objective", pa.string(), "the score that chose the exponent", ""),
        ("exponent_best", pa.float64(), "alpha of the best mean objective over the search's seeds; ties to 0", ""),
        ("n_exponents", pa.int32(), "exponents that were compared, those of the grid included", "count"),
        ("n_trials", pa.int32(), "trainings of the search and its confirmation, the grid's aside", "count"),
        ("n_search_seeds", pa.int32(), "seeds that chose the exponent", "count"),
        ("n_confirm_seeds", pa.int32(), "fresh seeds finished at exponent_best and at 0", "count"),
    ]
    + [
        (column, pa.float64(), meaning, TRIALS.field(score).metadata[b"unit"].decode())
        for score in _REWEIGHTED_SCORES
        for column, meaning in (
            (f"gain_{score}", f"{score} at exponent_best against 0 on fresh seeds, mean paired difference, > 0 better"),
            (f"gain_{score}_low", f"lower end of the paired 95 % t interval of gain_{score}"),
            (f"gain_{score}_high", f"upper end of the paired 95 % t interval of gain_{score}"),
            (f"search_gain_{score}", "the same at the seeds that chose exponent_best: overstated"),
            (f"{score}_plain", f"mean {score} on the fresh seeds at exponent 0"),
            (f"{score}_best", f"mean {score} on the fresh seeds at exponent_best"),
        )
    ]
)
"""Schema of reweighting.parquet, one row per condition that was searched; random starts."""
