from phase_diagrams.pace import ESTIMATED
from phase_diagrams.spec import parse_spec
from phase_diagrams.trial import grid_trials
from workers.calibration import calibrate


def test_a_pace_tells_what_a_longer_training_takes():
    """Ten times the latents take longer; every part is a positive time well under what the measuring itself took."""
    spec = parse_spec(
        {
            "data": {"n_features": 20, "n_inputs": 8},
            "grid": {"sparsity": [0.8, 0.9, 0.95], "hidden_dim": [16, 160], "activation": ["topk:1"], "seeds": 1},
        }
    )
    conditions = ESTIMATED.missing(spec, grid_trials(spec))
    assert [(one.hidden_dim, one.sparsity) for one in conditions] == [(16, 0.9), (160, 0.9)]
    paces = calibrate(spec, conditions)
    assert paces.missing(spec, grid_trials(spec)) == []
    narrow, wide = (paces.shapes[name] for name in sorted(paces.shapes, key=lambda name: "/160 " in name))
    for pace in (narrow, wide):
        assert 0 < pace.step < 0.05
        assert 0 < pace.draw < 0.05
        assert 0 < pace.trial < 1
    assert wide.step > narrow.step
