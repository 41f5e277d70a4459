import re
from pathlib import Path

import pytest

from phase_diagrams.tables import CONDITIONS, TRIALS

REPOSITORY = Path(__file__).parent.parent
DOCUMENTS = sorted(REPOSITORY.glob("*.md")) + sorted((REPOSITORY / "docs").rglob("*.md"))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), target


def test_every_score_is_defined_in_the_science_page() -> None:
    page = (REPOSITORY / "docs" / "science.md").read_text()
    keys = {"trial_id", "sparsity", "hidden_dim", "activation", "k", "l1", "exponent", "seed", "start"}
    told_elsewhere = {"n_features", "n_inputs", "steps", "diverged", "train_seconds", "pack_id"}
    for column in TRIALS.names:
        if column not in keys | told_elsewhere:
            stem = re.sub(r"_(90|95)$", "", column)
            assert f"`{stem}`" in page, column
    for column in ("p_identified", "p_identifiable", "phase_certain", "mcc_chance"):
        assert column in CONDITIONS.names
        assert f"`{column}`" in page


def test_every_module_is_in_the_architecture_page() -> None:
    page = (REPOSITORY / "ARCHITECTURE.md").read_text()
    named = set(re.findall(r"`(\w+)`", page))
    for room in ("phase_diagrams", "workers", "handbook"):
        modules = {path.stem for path in (REPOSITORY / room).glob("*.py")} - {"__init__"}
        assert modules <= named, f"{room}: {sorted(modules - named)}"
