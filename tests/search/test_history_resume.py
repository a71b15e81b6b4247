"""What a resumed search learns from is what the uninterrupted one learned from."""

import random
from pathlib import Path

import numpy as np

from archsearch.experiment import Ledger
from archsearch.search.deciding.rungs import Rungs
from archsearch.search.proposing.proposals import Proposals
from tests.search.local import tiny


def test_proposals_made_anew_know_the_same_in_the_same_order(tmp_path: Path) -> None:
    space, folder = tiny(tmp_path, "training.epochs=9", "search.early_stopping.reduction=3")
    draw = random.Random(0)
    with Ledger.open(folder.ledger) as ledger:
        live, rungs = Proposals(space), Rungs.of(space.search.early_stopping, 9, ledger)

        def agree() -> None:
            again = Proposals(space, ledger.trials_as_known(), ledger.epochs())._records.history()
            known = live._records.history()
            assert np.array_equal(again.codes, known.codes) and np.array_equal(again.epochs, known.epochs)
            assert np.array_equal(again.ended, known.ended)  # type: ignore[arg-type]
            assert np.array_equal(again.scores, known.scores, equal_nan=True)

        def train(number: int) -> None:
            rung = ledger.trial(number).rung
            ledger.start(number, resume_epoch=rung)
            end, score = rungs.above(number, rung) or 9, 0.0
            for epoch in range(rung + 1, end + 1):
                score = draw.random()
                ledger.epoch(number, epoch, {"epoch": epoch, "validation_accuracy": score})
            agree()
            rungs.record(number, end, score)
            ledger.finish(number, score) if end == 9 else ledger.pause(number, score, rung=end)
            live.learn(ledger.trial(number), ledger.epochs(number))
            agree()

        for number in range(1, 11):
            candidate = live.propose(number)
            live.begins(number, candidate)
            ledger.propose(
                choices=candidate.choices,
                architecture=candidate.architecture.to_dict(),
                digest=candidate.digest,
                cost=candidate.price.to_dict(),
                seed=number,
            )
            train(number)
            while promotion := rungs.promotion():
                ledger.promote(promotion.trial)
                rungs.promote(promotion.trial, promotion.rung)
                agree()
                train(promotion.trial)
