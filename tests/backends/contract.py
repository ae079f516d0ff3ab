"""What every backend promises; each backend's tests subclass this, and a site's own can too."""

from __future__ import annotations

from pathlib import Path

import pytest

from neurofit.backends.base import Backend, Finding, Limits, Queued, QueueState, Submission
from neurofit.files import to_json
from neurofit.status.queues import line_of
from neurofit.store.records import QueueLine
from neurofit.structure import structured_lines


def read_back(entry: Queued) -> Queued:
    """What a later command knows about a call: its line of `queue.jsonl`, written and read."""
    [line], _ = structured_lines(to_json(line_of(entry).as_object()).encode(), QueueLine)
    return Queued(entry.folder, line.id, line.first, line.last, line.process)


class BackendContract:
    """Fixtures to give: `backend`, and `submission(jobs)`, which makes a submission whose jobs wait until
    `release()`.
    """

    @pytest.fixture
    def backend(self) -> Backend:
        raise NotImplementedError

    @pytest.fixture
    def held(self):
        """An object with `submission(jobs) -> Submission`, `release()` to let the jobs end, `wait()` until
        they have.
        """
        raise NotImplementedError

    def test_preview_shows_the_command_and_touches_nothing(self, backend, held):
        submission = held.submission(2)
        before = sorted(Path(submission.folder).rglob("*"))
        assert "neurofit.worker" in backend.preview(submission)
        assert sorted(Path(submission.folder).rglob("*")) == before

    def test_every_job_is_in_exactly_one_record_of_what_was_queued(self, backend, held):
        queued = list(backend.submit(held.submission(5)))
        assert sorted(job for entry in queued for job in range(entry.first, entry.last + 1)) == list(range(5))
        held.release()

    def test_a_waiting_job_is_alive_and_one_that_ended_is_not(self, backend, held):
        submission = held.submission(2)
        queued = list(backend.submit(submission))
        live = backend.poll(queued)
        assert set(live) == {(submission.token, 0), (submission.token, 1)}
        assert all(
            isinstance(state, QueueState) and state.phase in ("pending", "running") for state in live.values()
        )
        held.release()
        held.wait()
        assert not backend.poll(queued)

    def test_what_was_never_confirmed_is_found_by_its_token(self, backend, held):
        submission = held.submission(1)
        queued = list(backend.submit(submission))
        assert [(entry.token, entry.id) for entry in backend.find([submission])] == [
            (submission.token, queued[0].id)
        ]
        held.release()

    def test_a_submission_that_was_never_queued_is_not_found(self, backend, held):
        assert backend.find([held.submission(1)]) == []

    def test_cancelling_twice_is_not_an_error(self, backend, held):
        submission = held.submission(2)
        queued = list(backend.submit(submission))
        jobs = [(submission.token, 0), (submission.token, 1)]
        backend.cancel(queued, jobs)
        held.wait()
        backend.cancel(queued, jobs)
        assert not backend.poll(queued)

    def test_the_line_about_what_was_queued_reads_as_what_was_queued(self, backend, held):
        (entry, *_) = backend.submit(held.submission(1))
        assert read_back(entry) == entry
        held.release()

    def test_odd_characters_in_the_folders_survive(self, backend, held):
        submission = held.submission(1, name="a b,c:d 'e' $(f)")
        queued = list(backend.submit(submission))
        held.release()
        held.wait()
        assert held.did_run(submission)
        assert not backend.poll(queued)

    def test_limits_and_check_answer_in_their_types(self, backend, held):
        assert isinstance(backend.limits(), Limits)
        assert all(isinstance(finding, Finding) for finding in backend.check())


__all__ = ["BackendContract", "Submission"]
