"""What a person sees of a search in progress."""

import io
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from archsearch import zoo
from archsearch.api.showing.bars import epochs_shown
from archsearch.api.showing.board import Board
from archsearch.api.showing.confirming import Bars
from archsearch.api.showing.live import Lines, render
from archsearch.api.showing.printing import paints
from archsearch.experiment import Counts, Trial, TrialState
from archsearch.search.confirming.contenders import Contender
from archsearch.search.confirming.runs import Outcome, Run

COST = {"params": 27_874, "flops": 452_704, "macs": 442_016, "activations": 1}


def trial(
    number: int, state: TrialState, value: float | None = None, epochs: int = 1, reason: str | None = None
) -> Trial:
    return Trial(
        number=number, state=state, seed=0, choices={}, architecture={}, digest="d" * 16, cost=COST, attempts=1,
        created=0.0, started=0.0, ended=None, value=value, epochs=epochs, reason=reason,
    )  # fmt: skip


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def board() -> Board:
    return Board(name="digits", planned=10, epochs=9, clock=Clock())


def end(board: Board, number: int, state: TrialState, value: float | None) -> None:
    board.trial(trial(number, TrialState.RUNNING), None)
    board.trial(trial(number, TrialState.RUNNING), {"epoch": 1, "validation_accuracy": value or 0.0})
    board.trial(trial(number, state, value), None)


def test_the_best_so_far_is_shown_from_the_first_score_on_and_says_at_which_epoch(board: Board) -> None:
    assert board.leader is None and "no score yet" in shown(board)
    board.trial(trial(1, TrialState.RUNNING, epochs=0), None)
    board.trial(trial(1, TrialState.RUNNING, epochs=3), {"epoch": 3, "validation_accuracy": 0.55})
    assert board.best_so_far == "t0001 55.00 % at epoch 3 of 9"
    assert "best      t0001  55.00 % at epoch 3 of 9" in shown(board)
    board.trial(trial(2, TrialState.RUNNING, epochs=1), {"epoch": 1, "validation_accuracy": 0.6})
    board.trial(trial(1, TrialState.RUNNING, epochs=0), None)  # once more, from its first epoch
    assert board.best_so_far == "t0002 60.00 % at epoch 1 of 9"
    board.trial(trial(2, TrialState.PAUSED, 0.6), None)
    board.trial(trial(2, TrialState.STOPPED, 0.6), None)
    assert board.leader is None, "what was stopped goes no further, and nothing of it is kept"
    end(board, 3, TrialState.FINISHED, 0.5)
    assert board.best_so_far == "t0003 50.00 %"
    board.trial(trial(4, TrialState.RUNNING, epochs=2), {"epoch": 2, "validation_accuracy": 0.7})
    table = shown(board)
    assert "best      t0004  70.00 % at epoch 2 of 9" in table and "finished  t0003  50.00 %" in table


def test_the_leader_stands_first_among_the_trials_that_run(board: Board) -> None:
    for number, accuracy in ((1, 0.2), (2, 0.7), (3, 0.3)):
        board.trial(trial(number, TrialState.RUNNING), {"epoch": 1, "validation_accuracy": accuracy})
    rows = [line.split()[0] for line in shown(board).splitlines() if "epoch 1/9" in line]
    assert rows == ["t0002", "t0001", "t0003"]


def test_trials_are_counted_one_way() -> None:
    states = [*["finished"] * 3, *["stopped"] * 2, "paused", "failed", "running", "running", "waiting"]
    counts = Counts.of(trial(number, TrialState(state)) for number, state in enumerate(states, 1))
    assert counts.progress(12) == "7 of 12 trials", "those that have ended, and those that wait at a rung"
    assert counts.text(12) == "7 of 12: 3 finished, 2 stopped early, 1 paused, 1 failed, 2 running, 1 waiting"
    numbers = {state.value: states.count(state.value) for state in TrialState}
    assert Counts.read({**numbers, "total": 10, "planned": 12}) == counts
    assert Counts().text(None) == "0 of ?: 0 finished, 0 stopped early, 0 failed, 0 running"


def test_only_finished_trials_can_be_the_best(board: Board) -> None:
    end(board, 1, TrialState.FINISHED, 0.8)
    end(board, 2, TrialState.STOPPED, 0.9)
    end(board, 3, TrialState.FAILED, None)
    assert board.best is not None
    assert board.best.number == 1
    end(board, 4, TrialState.PAUSED, 0.95)
    assert board.best.number == 1
    assert (board.settled, board.counts.stopped, board.counts.paused, board.running) == (
        4,
        1,
        1,
        [],
    )
    assert happened(board) == [(4, "paused"), (3, "failed"), (2, "stopped"), (1, "finished")]


def happened(board: Board) -> list[tuple[int, str]]:
    return [(event.trial.number, event.change) for event in board.newest(5)]


def test_the_newest_events_are_told_promotions_and_further_attempts_among_them(board: Board) -> None:
    for number in (1, 2):
        end(board, number, TrialState.PAUSED, 0.5)
    board.trial(trial(1, TrialState.RUNNING, 0.5), None)
    assert (board.settled, [t.number for t in board.running]) == (1, [1])
    assert happened(board) == [(1, "promoted"), (2, "paused"), (1, "paused")]
    board.clock.now += 5
    board.trial(replace(board.trials[1], attempts=2), None)
    assert happened(board)[0] == (1, "once more")
    end(board, 1, TrialState.FINISHED, 0.7)
    board.trial(trial(2, TrialState.STOPPED, 0.5), None)
    assert (board.settled, happened(board)[:2]) == (2, [(2, "stopped"), (1, "finished")])
    assert board.newest(0) == []


def test_how_full_the_gpus_are_is_told_while_trials_run_on_them(board: Board) -> None:
    assert board.gpu_memory is None
    for number, share in ((1, 0.25), (2, 0.754)):
        board.trial(trial(number, TrialState.RUNNING), {"epoch": 1, "validation_accuracy": 0.5, "gpu_memory": share})
    assert board.gpu_memory == (0.25, 0.754)
    assert "25 to 75 % of the GPU memory in use" in shown(board)
    board.trial(trial(1, TrialState.PAUSED, 0.5), None)
    assert "75 % of the GPU memory in use" in shown(board)
    assert "25" not in shown(board)


def shown(board: Board, width: int = 100) -> str:
    from rich.console import Console

    console = Console(file=io.StringIO(), width=width, height=30, force_terminal=True, record=True)
    console.print(render(board, console))
    return console.export_text()


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_of_the_live_table_is_longer_than_the_terminal_is_wide(board: Board, width: int) -> None:
    board.gpus, board.epochs = 0.5, 100
    board.phase("the best trials so far are trained to the end in the remaining time")
    for number, state in enumerate((*[TrialState.PAUSED] * 12, TrialState.FINISHED, TrialState.FAILED), 1):
        end(board, number, state, None if state is TrialState.FAILED else 0.5)
        board.clock.now += 3000
    metrics = {"epoch": 61, "validation_accuracy": 0.75, "gpu_memory": 0.5}
    board.trial(replace(trial(99, TrialState.RUNNING, epochs=61), rung=27), metrics)
    lines = shown(board, width).splitlines()
    assert max(map(len, lines)) <= width
    assert "75.00 % at epoch 61 of 100" in "\n".join(lines) and "epoch 61/100" in "\n".join(lines)
    assert sum("ago" in line for line in lines) == 5 and any("failed" in line for line in lines)


@pytest.mark.parametrize(("gpus", "hours"), [(0.0, 2.0), (0.25, 0.5)])
def test_the_hours_that_remain_are_those_of_all_workers_or_of_the_gpus_they_share(gpus: float, hours: float) -> None:
    board = Board(name="digits", planned=10, epochs=9, clock=Clock(), wall_time=3600.0, gpus=gpus)
    assert board.hours_left is None
    for number in (1, 2):
        board.trial(trial(number, TrialState.RUNNING), None)
    assert board.hours_left == hours


def test_what_is_left_is_told_from_this_sessions_pace(board: Board) -> None:
    board.restore([trial(number, TrialState.FINISHED, 0.5) for number in (1, 2, 3)])
    for number in (4, 5, 6):
        board.trial(trial(number, TrialState.RUNNING), {"epoch": 1, "validation_accuracy": 0.5})
        assert board.remaining is None
        board.clock.now += 10
        board.trial(trial(number, TrialState.STOPPED, 0.5), None)
    assert board.remaining == pytest.approx(4 * 10)
    assert board.hours_left is None, "nothing runs"
    for number in (7, 8):
        board.trial(trial(number, TrialState.RUNNING), None)
    assert board.hours_left == pytest.approx(2 * 40 / 3600), "of two workers"
    board.gpus = 0.25
    assert board.hours_left == pytest.approx(2 * 40 * 0.25 / 3600), "of a GPU"


def test_with_a_wall_time_that_is_what_is_left_unless_the_trials_end_before() -> None:
    board = Board(name="digits", planned=10, epochs=9, clock=Clock(), wall_time=60)
    assert (board.remaining, board.share, board.progress) == (60, 0.0, "0 trials in 0 s of 60 s")
    for number in range(1, 6):
        board.trial(trial(number, TrialState.RUNNING), {"epoch": 1, "validation_accuracy": 0.5})
        board.clock.now += 2
        board.trial(trial(number, TrialState.STOPPED, 0.5), None)
    assert board.remaining == pytest.approx(5 * 2)
    assert board.share == 0.5
    board.clock.now += 45
    assert board.remaining == pytest.approx(5)
    assert board.share == pytest.approx(55 / 60)
    board.clock.now += 45
    assert (board.remaining, board.share) == (0, 1)


def test_lines_are_one_a_phase_and_one_a_trial_that_ended_or_paused(board: Board, capsys) -> None:
    lines = Lines(board)
    lines.phase("starting Ray")
    lines.trial(trial(1, TrialState.RUNNING), None)
    lines.trial(trial(1, TrialState.RUNNING), {"epoch": 1, "validation_accuracy": 0.9})
    lines.trial(trial(1, TrialState.FINISHED, 0.9, epochs=9), None)
    lines.trial(trial(2, TrialState.FAILED, reason="oom"), None)
    lines.trial(trial(3, TrialState.PAUSED, 0.8), {"epoch": 1, "validation_accuracy": 0.8})
    lines.trial(trial(3, TrialState.PAUSED, 0.8), None)
    lines.trial(trial(3, TrialState.STOPPED, 0.8), None)
    first, second, third, fourth = capsys.readouterr().err.splitlines()
    assert "t0003 paused after 1 epoch: accuracy 80.00 %" in fourth
    assert "starting Ray" in first
    assert "t0001 finished after 9 epochs: accuracy 90.00 % (27.9k params, 453k FLOPs); 1 of 10" in second
    assert "t0002 failed after 1 epoch" in third
    assert "oom" in third


def test_lines_tell_of_the_best_so_far_where_no_trial_ends_for_long(board: Board, capsys) -> None:
    lines = Lines(board)
    for epoch in range(1, 6):
        board.clock.now += 25
        lines.trial(trial(1, TrialState.RUNNING, epochs=epoch), {"epoch": epoch, "validation_accuracy": epoch / 10})
    said = capsys.readouterr().err.splitlines()
    assert said == ["   1:15  0 of 10 trials, 1 running; best t0001 30.00 % at epoch 3 of 9"], "not at every epoch"


@pytest.mark.parametrize(("height", "most"), [(50, 19), (16, 15), (9, 8)])
def test_the_live_table_keeps_to_its_room(board: Board, height: int, most: int) -> None:
    from rich.console import Console

    for number in range(1, 9):
        end(board, number, TrialState.FINISHED, number / 10)
    for number in range(9, 41):
        board.trial(trial(number, TrialState.RUNNING), {"epoch": 3, "validation_accuracy": 0.5})
    console = Console(file=io.StringIO(), width=100, height=height, force_terminal=True, record=True)
    console.print(render(board, console))
    text = console.export_text()
    assert len(text.splitlines()) <= most
    assert "8 of 10 trials" in text
    assert "t0008" in text
    assert "t0009" in text
    assert "more running" in text


def test_a_training_on_a_pipe_tells_of_its_first_epoch_and_of_a_long_one_now_and_then(capsys, monkeypatch) -> None:
    now = [0.0]
    monkeypatch.setattr("archsearch.api.showing.bars.time.monotonic", lambda: now[0])
    with epochs_shown(12) as lines:
        lines.begin(0)
        for step in range(1, 31):
            now[0] += 1
            lines.step(step, 40)
        lines.begin(4)
    said = [" ".join(line.split()) for line in capsys.readouterr().err.splitlines()]
    steps = [f"0:{step} epoch 1/12 step {step} of 40" for step in (10, 20, 30)]
    assert said == ["0:00 epoch 1/12 begins", *steps, "0:30 epoch 5/12 goes on"]


def test_a_confirmations_bars_are_of_all_trainings_and_of_each_that_runs(capsys, tmp_path: Path) -> None:
    contender = Contender(
        kind="trial", name="a network", architecture=zoo.get("resnet8_cifar"), digest="d" * 16, key="d" * 16, cost={},
        within_budget=True,
    )  # fmt: skip
    runs = [Run(contender=contender, seed=seed, folder=tmp_path) for seed in (1, 2, 3)]
    bars = Bars(epochs=10)
    bars.epoch(runs[0], 1, 0.5)  # nothing is shown before it is known what is planned
    bars.planned(runs, done=1, networks=1)
    assert bars._progress is not None
    (everything,) = bars._progress.tasks
    assert (everything.completed, everything.total) == (0, 30)
    bars.epoch(runs[1], 4, 0.5)
    bars.epoch(runs[2], 1, 0.25)
    assert [task.completed for task in bars._progress.tasks] == [5, 4, 1]
    assert [task.description for task in bars._progress.tasks[1:]] == [
        "a network seed 2  epoch 4/10  50.00 %",
        "a network seed 3  epoch 1/10  25.00 %",
    ]
    bars.ended(Outcome(run=runs[1], failed="crashed: it is gone"))
    bars.ended(Outcome(run=runs[0], result={"validation": {"accuracy": 0.75}}))  # whose epochs were not told
    assert [(task.completed, task.visible) for task in bars._progress.tasks] == [(21, True), (4, False), (1, True)]
    bars.close()
    result = {"validation": {"accuracy": 0.5}, "no_graph": "it cannot be captured"}
    bars.ended(Outcome(run=runs[2], result=result))  # with no bars any more
    said = capsys.readouterr().err
    assert "4 trainings of 1 networks; 1 are done already" in said
    assert "a network seed 2: crashed: it is gone; 2 of 4" in said
    assert "a network seed 1: validation 75.00 %; 3 of 4" in said
    assert said.count("launched one by one") == 1
    assert "a network seed 3: kernels were launched one by one, without CUDA graphs: it cannot be captured" in said


@pytest.mark.parametrize(
    ("is_terminal", "kind", "painted"), [(True, "xterm", True), (True, "dumb", False), (False, "xterm", False)]
)
def test_only_a_terminal_that_can_redraw_is_painted(is_terminal, kind, painted, monkeypatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal, raising=False)
    monkeypatch.setenv("TERM", kind)
    assert paints() is painted
