"""`workers.ray_driver` without Ray: the same words and watch, and packs trained one after another in this process."""

import json
import os
import sys

import numpy as np

from phase_diagrams.folder import find_finished, open_folder, write_pack
from phase_diagrams.pack import Pack, cut_packs
from phase_diagrams.spec import read_spec
from tests.workers.trainers import train_fake
from workers.planners import open_planner
from workers.process_session import keep_watch
from workers.ray_driver import Events, Told
from workers.stock import FolderStock


def main(lifeline: int, scratch: str) -> None:
    keep_watch(lifeline, scratch)
    events = Events(os.dup(1))
    order = json.loads(sys.stdin.buffer.readline())
    spec = read_spec(order["spec"])
    events.send("connected", device="cpu", slots=1)
    size = 4 * spec.data.n_inputs * spec.data.n_features
    dictionary = np.frombuffer(sys.stdin.buffer.read(size), np.float32).reshape(spec.data.n_inputs, -1)
    folder = open_folder(order["location"])
    planner = open_planner(spec, FolderStock(folder, find_finished(folder).trial_ids, order["reuse"]))
    told = Told(events, planner)
    packs = cut_packs(spec, planner.ask())
    told.asked(packs)
    for pack in packs:
        for part in (pack, *([] if len(pack.trials) == 1 else singles(pack))):
            try:
                write_pack(folder, part.pack_id, train_fake(spec, dictionary, part, "cpu"))
            except RuntimeError as error:
                answer = "halve" if len(part.trials) > 1 else "give_up"
                what = f"trial {part.trial_ids[0]}"
                events.send("failed", what=what, reason=str(error), answer=answer, detail=f"no traceback: {error}")
                continue
            told.finished(part, 0.0)
            if part is pack:
                break
    events.send("done")
    os._exit(0)


def singles(pack: Pack) -> list[Pack]:
    return [
        Pack(f"{pack.pack_id}-{index}", pack.sparsity, pack.seed, (trial,), (trial_id,), pack.cost / len(pack.trials))
        for index, (trial, trial_id) in enumerate(zip(pack.trials, pack.trial_ids, strict=True))
    ]


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
