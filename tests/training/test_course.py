"""Where a training stands in its schedule, also when its end moves."""

import itertools

import pytest

from archsearch.space.settings import TrainingSettings
from archsearch.training.course import Course
from archsearch.training.recipe import learning_rate

STEPS = 7


def shares(course: Course, first: int = 0) -> list[float]:
    steps = [course.schedule_step(epoch, step, STEPS) for epoch in range(first, course.epochs) for step in range(STEPS)]
    return [step / total for step, total in steps]


def test_without_bends_every_rung_ends_a_whole_schedule() -> None:
    course = Course(6, (1, 3))
    assert [course.schedule_step(epoch, 2, STEPS) for epoch in range(6)] == [
        (2, 7), (2, 14), (9, 14), (2, 21), (9, 21), (16, 21)
    ]  # fmt: skip


@pytest.mark.parametrize("end", [4, 5, 7, 12])
def test_a_moved_end_is_reached_without_a_jump(end: int) -> None:
    course = Course(10)
    before = shares(course)[: 3 * STEPS]
    course.end_at(end, epoch=3)
    after = shares(course, 3)
    assert after[0] == pytest.approx(3 / 10)
    steps = {round(later - sooner, 12) for sooner, later in itertools.pairwise(after)}
    assert steps == {round(0.7 / ((end - 3) * STEPS), 12)}
    assert after[-1] == pytest.approx(1 - steps.pop())
    assert before == [step / (10 * STEPS) for step in range(3 * STEPS)]


def test_ends_move_again_and_the_rate_still_falls_to_zero() -> None:
    settings = TrainingSettings.model_validate({"schedule": "cosine", "warmup": 0.0, "learning_rate": 1.0})
    course, rates = Course(20, (2,)), list[float]()
    for epoch in range(100):
        if epoch == 6:
            course.end_at(12, epoch=6)
        if epoch == 9:
            course.end_at(10, epoch=9)
        if epoch == course.epochs:
            break
        rates += [learning_rate(settings, *course.schedule_step(epoch, step, STEPS)) for step in range(STEPS)]
    assert len(rates) == 10 * STEPS
    after_the_rung = rates[2 * STEPS :]
    assert after_the_rung == sorted(after_the_rung, reverse=True)
    assert after_the_rung[0] > 0.99 and after_the_rung[-1] < 0.02


def test_an_end_before_a_rung_forgets_nothing_of_the_schedule_after_it() -> None:
    course = Course(20, (2,))
    course.end_at(8, epoch=2)
    assert course.schedule_step(2, 0, STEPS) == (0, 6 * STEPS)
    assert course.schedule_step(7, STEPS - 1, STEPS) == pytest.approx((6 * STEPS - 1, 6 * STEPS))


def test_a_restored_course_goes_on_alike() -> None:
    course, other = Course(20, (2,)), Course(20, (2,))
    course.end_at(12, epoch=5)
    other.restore(course.state())
    assert shares(other, 5) == shares(course, 5)
    assert other.epochs == 12


def test_a_training_cannot_end_before_what_it_has_done() -> None:
    with pytest.raises(ValueError, match="cannot end after 3"):
        Course(10).end_at(3, epoch=3)
