import pytest

from tests.service import postgres


@pytest.mark.parametrize(("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_without_postgresql_its_tests_are_skipped_but_fail_in_ci(monkeypatch, ci, outcome):
    monkeypatch.setattr(postgres, "binaries", lambda: None)
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="PostgreSQL is not installed"), postgres.running_cluster():
        raise AssertionError("there is no cluster to run")
