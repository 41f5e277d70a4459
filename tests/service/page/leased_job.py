"""A job that the page shows while a test decides how much of it is done."""

from typing import Any

from phase_diagrams.folder import open_folder, write_pack
from phase_diagrams.spec import parse_spec
from tests.phase_diagrams.synthetic_trials import synthetic_trials
from tests.service.running import FakeWorker, Running, submit
from tests.service.test_trials import with_cosines

SPEC: dict[str, Any] = {
    "name": "seen",
    "data": {"n_features": 8, "n_inputs": 4},
    "grid": {"sparsity": [0.5, 0.9], "hidden_dim": [8, 16], "activation": ["topk:1", "relu"], "seeds": 3},
}
"""A spec of 48 trials in 8 conditions."""


class Job:
    """A job on the service, and the worker that has it."""

    def __init__(self, service: Running, name: str, share: float = 0.0, **changes: Any) -> None:
        self.client = service.client()
        self.spec = {**SPEC, "name": name, **changes}
        self.id = submit(self.client, self.spec)["id"]
        self.url = f"{service.url}/#/jobs/{self.id}"
        self.worker = FakeWorker(self.client)
        while (lease := self.worker.take()) is not None and lease["job_id"] != self.id:
            self.worker.say("finish", {"status": "failed", "error": "not wanted by this test"})
        assert lease is not None
        rows = with_cosines(synthetic_trials(parse_spec(self.spec)))
        # One condition after another.
        self.rows = rows.sort_by([(name, "ascending") for name in ("sparsity", "hidden_dim", "activation")])
        self.folder = open_folder(lease["folder"])
        self.written = 0
        if share:
            self.write(share)

    def write(self, share: float) -> None:
        """Finish trials up to a share of them, as one pack, and say so."""
        upto = round(share * self.rows.num_rows)
        write_pack(self.folder, f"pack-{upto}", self.rows.slice(self.written, upto - self.written))
        self.written = upto
        self.worker.say("heartbeat", {"progress": self.worker.progress(upto)})

    @property
    def cells(self) -> int:
        """Conditions that have a colour by now: those with a random start."""
        rows = self.rows.slice(0, self.written).to_pylist()
        names = ("sparsity", "hidden_dim", "activation", "k")
        return len({tuple(row[name] for name in names) for row in rows if row["start"] == "random"})

    def succeed(self) -> "Job":
        self.write(1.0)
        self.worker.merge()
        body = {"status": "succeeded", "progress": self.worker.progress(self.rows.num_rows)}
        assert self.worker.say("finish", body).status_code == 204
        return self
