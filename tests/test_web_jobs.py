"""The queue: order, stopping, going on, removing, failing."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor
from web_engine import until

from impasto.errors import ImpastoError
from impasto.painting import Position, Progress
from impasto.web.jobs import CURVE_POINTS, Jobs, NoShelf, QueuedJob, Shown, State


class Counting:
    """Work that counts: frame n is an image of the value n / 100, and its `picture` the image that was kept."""

    name = "counting"

    def __init__(self, steps: int = 5, gate: object = None, error: BaseException | None = None) -> None:
        self.steps, self.error = steps, error
        self.output = Path("nowhere.png")
        self.picture: Tensor | None = None
        self.closed = self.discarded = False
        self.waits: list[int] = []
        self.allowed = steps  # steps that need not wait

    def frames(self, resume: Position | None = None) -> Generator[Shown]:
        self.closed = False
        try:
            for step in range(resume.step if resume else 1, self.steps + 1):
                until(lambda step=step: step <= self.allowed or self.closed)
                if self.error is not None:
                    raise self.error
                image = torch.full((1, 3, 20, 30), step / 100)
                position = Position(1, step, 0, {})
                yield Shown(Progress(1, 1, step, self.steps, {"total": 1 / step}, image, None, ("a note",), position))
        finally:
            self.closed = True

    def in_its_words(self, message: str) -> str:
        return message

    def keep(self, frame: Shown, *, stopped: bool) -> None:
        self.picture, self.stopped = frame.progress.image, stopped

    def discard(self) -> None:
        self.discarded = True


class Shelf(NoShelf):
    """Keeps positions in memory, as many as there is room for."""

    def __init__(self) -> None:
        self.positions: dict[str, Position | None] = {}
        self.room = 10

    def put(self, job: QueuedJob, frame: Shown) -> bool:
        self.positions[job.id] = frame.progress.position
        return len(self.positions) <= self.room

    def take(self, job: QueuedJob) -> Position | None:
        return self.positions.get(job.id)

    def remove(self, job: QueuedJob) -> None:
        self.positions.pop(job.id, None)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def jobs(shelf: Shelf) -> Iterator[Jobs]:
    jobs = Jobs(shelf=shelf)
    yield jobs
    for job in jobs.all():
        job.work.allowed = job.work.steps  # type: ignore[attr-defined]
    jobs.close()


def held(steps: int = 5, allowed: int = 0) -> Counting:
    work = Counting(steps)
    work.allowed = allowed
    return work


def test_a_job_is_painted_kept_and_holds_no_picture_in_memory(jobs: Jobs) -> None:
    work = Counting()
    job = jobs.submit(QueuedJob("someone", work))
    until(lambda: job.state is State.DONE)
    assert work.picture is not None
    assert float(work.picture.max()) == pytest.approx(0.05)
    assert job.size == (20, 30)
    assert job.image is None
    assert job.frame is not None
    assert job.frame.progress.image.numel() == 0
    assert [point[:2] for point in job.curve] == [(step, 1 / step) for step in range(1, 6)]
    assert job.notes == ["a note"]
    assert work.closed


def test_jobs_are_painted_in_the_order_they_came_and_know_their_place(jobs: Jobs) -> None:
    first, second, third = (jobs.submit(QueuedJob("someone", held())) for _ in range(3))
    until(lambda: first.state is State.PAINTING)
    assert [jobs.position(job) for job in (first, second, third)] == [0, 1, 2]
    first.work.allowed = 5
    until(lambda: second.state is State.PAINTING)
    assert [jobs.position(job) for job in (first, second, third)] == [0, 0, 1]
    second.work.allowed = third.work.allowed = 5
    until(lambda: third.state is State.DONE)


def test_stop_keeps_the_picture_so_far_and_continue_goes_on_from_there(jobs: Jobs, shelf: Shelf) -> None:
    work = held(allowed=2)
    job = jobs.submit(QueuedJob("someone", work))
    until(lambda: len(job.curve) == 2)
    jobs.stop(job)
    work.allowed = 3
    until(lambda: job.state is State.STOPPED)
    assert work.picture is not None
    assert float(work.picture.max()) == pytest.approx(0.03)
    assert job.can_continue
    assert work.closed  # what it needs in memory is given back
    work.allowed = 5
    jobs.resume(job)
    until(lambda: job.state is State.DONE)
    assert [step for step, *_ in job.curve] == [1, 2, 3, 4, 5]  # none was painted twice
    assert float(work.picture.max()) == pytest.approx(0.05)
    assert shelf.positions == {}
    with pytest.raises(ImpastoError, match="paint it again"):
        jobs.resume(job)


def test_a_job_stopped_before_its_turn_can_go_on(jobs: Jobs) -> None:
    first, second = jobs.submit(QueuedJob("someone", held())), jobs.submit(QueuedJob("someone", Counting()))
    until(lambda: first.state is State.PAINTING)
    jobs.stop(second)
    assert second.state is State.STOPPED
    jobs.resume(second)
    first.work.allowed = 5
    until(lambda: second.state is State.DONE)


def test_a_stopped_job_that_cannot_be_put_aside_does_not_go_on(jobs: Jobs, shelf: Shelf) -> None:
    shelf.room = 0
    job = jobs.submit(QueuedJob("someone", held(allowed=1)))
    until(lambda: job.curve)
    jobs.stop(job)
    job.work.allowed = 2
    until(lambda: job.state is State.STOPPED)
    assert not job.can_continue
    assert job.work.picture is not None


def test_removing_a_job_that_is_painted_ends_it_and_keeps_nothing(jobs: Jobs) -> None:
    work = held(allowed=1)
    job = jobs.submit(QueuedJob("someone", work))
    until(lambda: job.curve)
    jobs.remove(job)
    assert jobs.get(job.id) is None
    work.allowed = 2
    until(lambda: work.discarded)
    assert work.picture is None
    assert work.closed
    waiting = jobs.submit(QueuedJob("someone", Counting()))
    until(lambda: waiting.state is State.DONE)  # the worker lives on


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ImpastoError("the photograph is damaged"), "the photograph is damaged"),
        (MemoryError(), "not enough memory for this size; choose a smaller one"),
        (RuntimeError("/secret/path is broken"), "a fault of impasto; see its log"),
    ],
)
def test_a_failure_is_told_in_a_sentence_and_harms_nobody_else(jobs: Jobs, error: Exception, words: str) -> None:
    job = jobs.submit(QueuedJob("someone", Counting(error=error)))
    other = jobs.submit(QueuedJob("another", Counting()))
    until(lambda: other.state is State.DONE)
    assert (job.state, job.error) == (State.FAILED, words)


def test_the_curve_stays_short_and_keeps_its_ends(jobs: Jobs) -> None:
    job = jobs.submit(QueuedJob("someone", Counting(steps=1000)))
    until(lambda: job.state is State.DONE)
    steps = [step for step, *_ in job.curve]
    assert len(steps) <= CURVE_POINTS
    assert (steps[0], steps[-1]) == (1, 1000)
    assert steps == sorted(steps)


def test_two_workers_paint_at_once_and_either_goes_on_with_a_stopped_job(shelf: Shelf) -> None:
    prepared: list[int] = []
    jobs = Jobs([lambda: prepared.append(0), lambda: prepared.append(1)], shelf)
    one, two = jobs.submit(QueuedJob("someone", held(allowed=1))), jobs.submit(QueuedJob("someone", held(allowed=1)))
    until(lambda: one.curve and two.curve)
    assert sorted(prepared) == [0, 1]
    jobs.stop(two)
    two.work.allowed = 2
    until(lambda: two.state is State.STOPPED)
    two.work.allowed = 5
    jobs.resume(two)
    until(lambda: two.state is State.DONE)
    one.work.allowed = 5
    jobs.close()
    assert one.over


def test_ids_cannot_be_guessed() -> None:
    ids = {QueuedJob("someone", Counting()).id for _ in range(100)}
    assert len(ids) == 100
    assert min(map(len, ids)) >= 24


def test_addresses_and_visitors_take_turns(jobs: Jobs) -> None:
    first = jobs.submit(QueuedJob("greedy", held(), address="a"))
    until(lambda: first.state is State.PAINTING)
    greedy = [jobs.submit(QueuedJob("greedy", held(), address="a")) for _ in range(2)]
    other = jobs.submit(QueuedJob("quiet", held(), address="a"))
    stranger = jobs.submit(QueuedJob("stranger", held(), address="b"))
    assert [jobs.position(job) for job in (stranger, greedy[0], other, greedy[1])] == [1, 2, 3, 4]
    first.work.allowed = 5
    until(lambda: stranger.state is State.PAINTING)


@pytest.mark.filterwarnings("ignore")
def test_what_fails_besides_painting_does_not_end_the_worker() -> None:
    def prepare() -> None:
        raise RuntimeError("no such device")

    class Stubborn(Counting):
        def discard(self) -> None:
            super().discard()
            raise OSError("busy")

    jobs = Jobs([prepare])
    work = Stubborn()
    work.allowed = 1
    job = jobs.submit(QueuedJob("someone", work))
    until(lambda: job.curve)
    jobs.remove(job)
    work.allowed = 5
    until(lambda: work.discarded)
    after = jobs.submit(QueuedJob("someone", Counting()))
    until(lambda: after.state is State.DONE)
    jobs.close()
