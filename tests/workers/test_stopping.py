import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phase_diagrams.matching import match_features
from phase_diagrams.spec import Recovery, Training
from workers.sae import learning_rates
from workers.stopping import label_is_clear, next_look, shorten

STEPS = 1000


def training(schedule="linear", patience=100, tolerance=0.01):
    stop = {"patience": patience, "tolerance": tolerance}
    return Training.model_validate({"steps": STEPS, "schedule": schedule, "stop": stop})


def rates(budget):
    return learning_rates(budget.schedule, budget.learning_rate, budget.steps)


def test_without_a_stop_there_is_one_look_at_the_end_and_every_step_is_taken():
    budget = Training(steps=STEPS)
    assert next_look(0, budget) == STEPS
    assert shorten(rates(budget), np.ones(400), budget) is not None
    assert len(shorten(rates(budget), np.ones(400), budget)) == STEPS


def test_looks_are_at_multiples_of_the_patience_and_at_the_end():
    budget, step, looks = training(patience=300), 0, []
    while step < STEPS:
        step = next_look(step, budget)
        looks.append(step)
    assert looks == [300, 600, 900, 1000]


@pytest.mark.parametrize(("fall", "converged"), [(0.0, True), (0.009, True), (0.011, False), (-0.5, True)])
def test_a_trial_has_converged_when_its_windowed_loss_falls_by_no_more_than_the_tolerance(fall, converged):
    budget = training(tolerance=0.01)
    losses = np.concatenate([np.full(300, 5.0), np.full(100, 2.0), np.full(100, 2.0 * (1 - fall))])
    assert (len(shorten(rates(budget), losses, budget)) < STEPS) == converged


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
def test_what_is_left_of_the_schedule_passes_in_patience_steps(schedule):
    budget = training(schedule)
    planned = rates(budget)
    taken = shorten(planned, np.ones(400), budget)
    assert len(taken) == 500
    assert np.array_equal(taken[:400], planned[:400])
    assert np.array_equal(taken[400:], planned[400::6])


def test_a_trial_is_shortened_once_and_never_where_nothing_would_be_saved():
    budget = training()
    taken = shorten(rates(budget), np.ones(400), budget)
    assert shorten(taken, np.ones(500), budget) is taken
    assert len(shorten(rates(budget), np.ones(900), budget)) == STEPS
    assert len(shorten(rates(budget), np.ones(450), budget)) == STEPS  # between two looks
    assert len(shorten(rates(budget), np.ones(100), budget)) == STEPS  # one window cannot be compared


def test_no_trial_is_shortened_before_a_quarter_of_its_steps():
    budget = training(patience=100).model_copy(update={"steps": 2000})
    assert len(shorten(rates(budget), np.ones(400), budget)) == 2000
    assert len(shorten(rates(budget), np.ones(500), budget)) == 600


def test_a_label_is_asked_for_only_where_the_loss_has_converged_and_one_that_is_open_takes_all_steps():
    asked = []

    def is_open() -> bool:
        asked.append(True)
        return False

    budget = training()
    assert len(shorten(rates(budget), np.geomspace(2, 1, 400), budget, is_open)) == STEPS
    assert not asked
    assert len(shorten(rates(budget), np.ones(400), budget, is_open)) == STEPS
    assert asked == [True]


@pytest.mark.parametrize(
    ("share", "fraction", "clear"),
    [
        (1.0, 0.9, True),
        (0.9, 0.9, False),
        (0.85, 0.9, False),
        (0.8, 0.9, True),  # as far as the margin
        (0.95, 0.9, False),
        (0.5, 0.9, True),
        (0.0, 0.9, True),
        (0.0, 0.05, False),
        (0.6, 0.5, True),
        (0.55, 0.5, False),
        (0.4, 0.5, True),
        (1.0, 1.0, True),
        (0.95, 1.0, False),
    ],
)
def test_a_label_is_clear_away_from_the_share_that_decides_it(share, fraction, clear):
    dictionary, kept = np.eye(20, dtype=np.float32), round(20 * share)
    # Rows that lie between two features: cosine 0.71 to each.
    between = (np.eye(20) + np.roll(np.eye(20), 1, axis=1))[kept:]
    decoder = np.concatenate([np.eye(20)[:kept], between]).astype(np.float32)
    recovery = Recovery(cosine=0.9, fraction=fraction)
    assert label_is_clear(dictionary, decoder, recovery) == clear
    # Neither the order of latents nor their lengths count.
    assert label_is_clear(dictionary, 3 * decoder[::-1], recovery) == clear


@pytest.mark.parametrize(("recovered", "clear"), [(5, True), (4, False), (3, True), (0, True)])
def test_of_few_features_two_must_turn(recovered, clear):
    dictionary = np.eye(5, dtype=np.float32)
    decoder = np.concatenate([dictionary[:recovered], np.full((6 - recovered, 5), 0.4, np.float32)])
    assert label_is_clear(dictionary, decoder, Recovery(cosine=0.9, fraction=0.9)) == clear


@given(st.integers(0, 2**32 - 1), st.integers(2, 12), st.integers(1, 14), st.sampled_from([0.3, 0.5, 0.9]))
def test_a_label_is_clear_by_the_count_of_the_scores(seed, n, m, fraction):
    rng = np.random.default_rng(seed)
    dictionary = rng.standard_normal((6, n)).astype(np.float32)
    noise = 0.5 * rng.standard_normal((m, 6)) / np.sqrt(6)
    decoder = (dictionary.T[rng.integers(n, size=m)] + noise).astype(np.float32)
    recovered = int(np.sum(match_features(dictionary, decoder).cosine >= 0.9))
    needed = min(count for count in range(n + 1) if count / n >= fraction)
    expected = recovered == n or abs(recovered - needed) >= max(2, 0.1 * n)
    assert label_is_clear(dictionary, decoder, Recovery(cosine=0.9, fraction=fraction)) == expected


def test_where_no_label_is_asked_for_all_are_clear():
    assert label_is_clear(np.eye(4, dtype=np.float32), np.eye(4, dtype=np.float32)[:3], None)


def test_a_diverged_trial_has_not_converged():
    budget = training()
    assert len(shorten(rates(budget), np.full(400, np.nan), budget)) == STEPS
    assert len(shorten(rates(budget), np.append(np.ones(399), np.inf), budget)) == STEPS


@given(st.integers(10, 400), st.integers(1, 20), st.sampled_from(["linear", "cosine", "constant"]))
def test_shortened_schedules_never_rise_and_end_as_low_as_their_patience_allows(patience, looks, schedule):
    budget = training(schedule, patience)
    done = patience * looks
    if done >= STEPS:
        return
    taken = shorten(rates(budget), np.ones(done), budget)
    assert (np.diff(taken) <= 1e-15).all()
    assert len(taken) in (STEPS, done + patience)
    if schedule == "linear":
        assert taken[-1] <= taken[0] / min(patience, STEPS - done) + 1e-15
