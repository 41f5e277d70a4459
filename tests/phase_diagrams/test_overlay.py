import numpy as np
import pytest

from phase_diagrams.layout import lay_out
from phase_diagrams.overlay import DEFAULT, NAMES, SAMPLES, overlay_rows, read_overlays
from phase_diagrams.spec import JobSpec, parse_spec
from phase_diagrams.superposition import polygon, random_unit
from phase_diagrams.theory import donoho_tanner_weak_threshold
from tests.phase_diagrams.synthetic_trials import small_spec

FINE = {"sparsity": {"start": 0.5, "stop": 0.98, "num": 9, "spacing": "log_density"}}


def _digons(**grid: object) -> JobSpec:
    data = {"n_features": 40, "n_inputs": 20, "superposition": {"kind": "polygon", "digon": 20}}
    axes: dict[str, object] = {**FINE, "hidden_dim": [20, 40, 80], "activation": ["topk:1", "topk:4", "relu"]}
    return parse_spec({"data": data, "grid": {**axes, **grid}})


def _rows(spec: JobSpec, dictionary: np.ndarray | None = None) -> dict[str, list[dict[str, object]]]:
    rows = overlay_rows(spec, lay_out(spec), dictionary)
    return {name: [dict(row) for row in rows if row["layer"] == name] for name in NAMES}


def test_names_are_read_and_unknown_ones_refused() -> None:
    assert read_overlays("all") == frozenset(NAMES)
    assert read_overlays("none") == frozenset()
    assert read_overlays("default") == DEFAULT
    assert read_overlays("n_m, gt_loss") == {"n_m", "gt_loss"}
    with pytest.raises(ValueError, match="'gtloss' is not an overlay; allowed: all, none, default, or some of n_m"):
        read_overlays("k,gtloss")


def test_straight_lines_are_where_their_equations_say() -> None:
    rows = _rows(small_spec(**FINE))
    assert {row["x"] for row in rows["n_m"]} == {40}
    assert {row["panel"]: row["y"] for row in rows["k"]} == {f"topk:{k}, α = 0": k / 40 for k in (1, 2, 4)}
    assert {row["panel"]: row["y"] for row in rows["2k"]} == {f"topk:{k}, α = 0": k / 20 for k in (1, 2, 4)}
    # Active features: rho n_p = n (1 - S).
    density = donoho_tanner_weak_threshold(0.25, nonnegative=True) * 10 / 40
    assert [row["y"] for row in rows["donoho_tanner"]] == pytest.approx([density] * 4, rel=1e-6)


def test_the_promise_covers_enough_latents_and_one_active_feature_under_exact_activations() -> None:
    spec = small_spec(**FINE)
    (region,) = _rows(spec)["theorems"]
    layout = lay_out(spec)
    assert region["panel"] == "topk:1, α = 0"
    assert (region["x"], region["y2"]) == (40, 1 / 40)
    assert region["x2"] == pytest.approx(layout.width.edges[-1], rel=1e-6)
    assert region["y"] == pytest.approx(layout.density.edges[0], rel=1e-6)
    assert len(_rows(_digons())["theorems"]) == 3
    assert not _rows(small_spec(activation=["topk:2"], **FINE))["theorems"]
    weighted = _rows(_digons(exponent=[0.0, 1.0]))["theorems"]
    assert {str(row["panel"]).rpartition(" ")[2] for row in weighted} == {"0"}


def test_contours_need_the_dictionary_and_begin_at_as_many_latents_as_features() -> None:
    spec = _digons()
    assert not _rows(spec)["gt_loss"]
    rows = _rows(spec, polygon(0, 20, 0))
    assert rows["gt_loss"]
    assert {row["x"] for row in rows["gt_loss"] + rows["loss_gap"]} == {40}
    narrow = _digons(hidden_dim=[10, 20], activation=["topk:1"])
    assert not _rows(narrow, polygon(0, 20, 0))["gt_loss"]


def test_the_contour_of_antipodal_pairs_lies_where_both_of_a_pair_fire() -> None:
    """Under ReLU a digon errs only if both fire: L_GT / E|x|^2 = p c with c from two magnitudes, in closed form.

    For u, v uniform on (0, 1], the closed form turns (u, v) into (u - v, 0) if u > v: the error of the pair is 2
    min(u, v)^2, with mean 1/3, against an energy of 2 p / 3. So L_GT / E|x|^2 = p^2 / 3 / (2 p / 3) = p / 2.
    """
    rows = [row for row in _rows(_digons(), polygon(0, 20, 0))["gt_loss"] if "relu" in str(row["panel"])]
    assert {row["text"] for row in rows} >= {"0.1", "0.2"}
    for row in rows:
        assert float(str(row["y"])) / 2 == pytest.approx(float(str(row["text"])), rel=6 / np.sqrt(SAMPLES[1]))


def test_contours_are_those_of_the_panel_s_own_activation() -> None:
    rows = _rows(small_spec(**FINE), random_unit(40, 10, 0))["gt_loss"]
    heights: dict[str, dict[str, float]] = {}
    for row in rows:
        heights.setdefault(str(row["panel"]), {})[str(row["text"])] = float(str(row["y"]))
    # More latents let more positive interference in: the same loss is reached at a lower density.
    assert heights["topk:1, α = 0"]["1"] > heights["topk:2, α = 0"]["1"]
    assert "relu, α = 0" not in heights  # above 2 everywhere
