"""From what was tried to what is tried next: even start, distinct exponents, ties to the plain loss."""

from hypothesis import given
from hypothesis import strategies as st

from phase_diagrams.activation import Activation
from phase_diagrams.outcome import DIVERGED, Outcome
from phase_diagrams.reweighting_spec import STEP, Search
from phase_diagrams.study import Study, Tried, mean_score, next_exponents
from phase_diagrams.trial import Condition

CONDITION = Condition(0.9, 40, Activation("topk", k=1), 0.0)


def study(search: Search, *tried: tuple[float, float | None], suggested: int = 0) -> Study:
    return Study(CONDITION, search, tuple(Tried(*one) for one in tried), suggested, key=7)


def never(study: Study, count: int) -> list[float]:
    raise AssertionError("a model of nothing is not asked")


def test_the_first_batch_is_spread_evenly_whatever_the_model() -> None:
    search = Search(low=-1.0, high=2.0, trials=16, batch=3)
    assert next_exponents(study(search, (0.0, 0.5)), never) == [-0.5, 0.5, 1.5]
    random = search.model_copy(update={"sampler": "random"})
    assert next_exponents(study(random), lambda study, count: [0.1, 0.2, 0.3]) == [0.1, 0.2, 0.3]


def test_the_last_batch_is_what_is_left_and_then_there_is_none() -> None:
    search = Search(trials=8, batch=5)
    assert len(next_exponents(study(search, suggested=5), lambda study, count: [0.5] * count)) == 3
    assert next_exponents(study(search, suggested=8), never) == []


@given(
    st.lists(st.floats(-0.05, 0.05), min_size=1, max_size=60),
    st.lists(st.integers(-500, 500), max_size=60, unique=True),
)
def test_exponents_are_free_multiples_of_the_step_near_what_was_suggested(
    wanted: list[float], taken: list[int]
) -> None:
    search = Search(low=-0.05, high=0.05, trials=500, batch=100, sampler="random")
    tried = [(round(place * STEP, 4) + 0.0, 0.0) for place in taken]
    batch = search.model_copy(update={"batch": len(wanted)})
    chosen = next_exponents(study(batch, *tried, suggested=1), lambda study, count: wanted)
    assert len(set(chosen)) == len(wanted)
    assert not set(chosen) & {exponent for exponent, _ in tried}
    room = (len(wanted) + len(taken)) * STEP
    for suggested, exponent in zip(wanted, chosen, strict=True):
        assert search.low <= exponent <= search.high
        assert round(exponent / STEP) * STEP == exponent or round(exponent, 4) == exponent
        assert abs(exponent - suggested) <= room


def test_the_best_has_the_highest_score_and_ties_go_to_the_least_reweighting() -> None:
    search = Search()
    assert study(search, (0.0, 0.5), (1.0, 0.7), (-0.5, 0.6)).best == 1.0
    assert study(search, (0.0, 1.0), (1.0, 1.0), (-0.5, 1.0)).best == 0.0
    assert study(search, (2.0, 1.0), (-0.5, 1.0), (0.0, 0.9)).best == -0.5
    assert study(search, (0.0, None), (1.0, None)).best == 0.0


def test_a_score_is_the_mean_over_seeds_turned_so_that_more_is_better() -> None:
    good = Outcome(0.8, 0.9, 0.2, 0.1, 0.3, False)
    assert mean_score(Search(objective="recovered_fraction"), [good, DIVERGED]) == 0.4
    assert mean_score(Search(objective="gt_loss"), [good, DIVERGED]) == -0.6
    assert mean_score(Search(objective="mcc"), []) is None
