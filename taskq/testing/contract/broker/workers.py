"""Heartbeats and pruning: who is there, who is dead, and what becomes of what a dead worker held."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from taskq.broker import Broker
from taskq.errors import NotRegistered
from taskq.records import Again, Stats
from taskq.testing.contract.broker.holder import ONE, THREE, TWO, Holder
from taskq.testing.contract.broker.stage import OnABroker

__all__ = ["Workers"]


class Workers(OnABroker):
    """Heartbeats and pruning: who is there, who is dead, and what becomes of what a dead worker held."""

    def test_register_shows_the_worker_to_others(self, broker: Broker, other: Broker) -> None:
        """Everybody sees all that it said of itself, and its first heartbeat."""
        holder = Holder(broker, "host:1:q")
        said = replace(holder.registration(), requeues={"send_email": 3, "Billing::Charge": 1})
        assert broker.register(said)
        info = other.worker(holder.id)
        assert info is not None
        assert info.registered
        assert info.registration == said
        assert info.heartbeat is not None
        assert info.started is not None
        assert abs(info.heartbeat - other.now()) < 5
        assert abs(info.started - other.now()) < 5
        assert (info.job, info.ahead, info.processed, info.failed) == (None, (), 0, 0)
        assert [one.id for one in other.workers()] == [holder.id]

    def test_register_of_a_hidden_one_is_seen_by_taskq(self, broker: Broker, other: Broker) -> None:
        """What other programs are not shown is a worker all the same."""
        holder = Holder(broker, "host:1:q")
        assert broker.register(replace(holder.registration(), hidden=True))
        broker.push("q", [ONE])
        taken = holder.take("q")
        info = other.worker(holder.id)
        assert info is not None
        assert info.registration is not None
        assert info.registration.hidden
        assert info.job is not None
        assert holder.finish(taken)
        assert holder.unregister()
        assert list(other.workers()) == []

    def test_register_again_by_the_same_answers_true(self, broker: Broker, holder: Holder) -> None:
        """One whose answer was lost asks again, and loses nothing of what it holds."""
        broker.push("q", [ONE])
        taken = holder.take("q")
        assert holder.register()
        assert holder.finish(taken)

    def test_heartbeat_is_seen_by_others(self, broker: Broker, other: Broker, holder: Holder) -> None:
        """It is the broker's time, and never goes back."""
        before = holder.seen().heartbeat
        assert before is not None
        assert holder.heartbeat()
        info = other.worker(holder.id)
        assert info is not None
        assert info.heartbeat is not None
        assert info.heartbeat >= before
        assert abs(info.heartbeat - other.now()) < 5

    def test_heartbeat_of_a_stranger_writes_nothing(self, broker: Broker) -> None:
        """One that is not registered hears False, and leaves no trace."""
        assert not broker.heartbeat("host:1:q", "0" * 8)
        assert broker.worker("host:1:q") is None
        assert list(broker.workers()) == []

    def test_heartbeat_asks_nothing_of_the_order_of_calls(self, broker: Broker, holder: Holder) -> None:
        """It has no token, and may come beside any other call."""
        broker.push("q", [ONE])
        taken = holder.take("q")
        assert holder.heartbeat()
        assert holder.finish(taken)

    def test_unregister_leaves_no_trace(self, broker: Broker, holder: Holder) -> None:
        """Its own counters go; the totals stay; the id is free."""
        broker.push("q", [ONE])
        holder.finish(holder.take("q"))
        assert holder.unregister()
        assert broker.worker(holder.id) is None
        assert list(broker.workers()) == []
        assert not holder.heartbeat()
        assert broker.stats().processed == 1
        again = Holder(broker, holder.id)
        assert again.register()
        assert again.seen().processed == 0

    def test_unregister_refuses_while_a_job_is_in_hand(self, broker: Broker, holder: Holder) -> None:
        """Or held ahead: what it holds is settled first."""
        broker.push("q", [ONE, TWO])
        first, second = holder.reserve("q", limit=2).jobs
        assert not holder.unregister()
        assert holder.finish(first)
        assert not holder.unregister()
        assert holder.release(second)
        assert holder.unregister()

    def test_unregister_of_a_stranger_answers_false(self, broker: Broker, holder: Holder) -> None:
        """Nobody leaves in another's name."""
        assert not broker.unregister(holder.id, "0" * 8)
        assert not broker.unregister("host:99:q", "0" * 8)
        assert broker.worker(holder.id) is not None

    def test_workers_are_sorted_by_id(self, broker: Broker) -> None:
        """Whoever came first."""
        for number in (3, 1, 2):
            assert Holder(broker, f"host:{number}:q").register()
        assert [info.id for info in broker.workers()] == ["host:1:q", "host:2:q", "host:3:q"]

    def test_worker_of_no_trace_is_none(self, broker: Broker) -> None:
        """Asked about nobody, it answers None."""
        assert broker.worker("host:1:q") is None

    # ---- recovering

    def test_claim_recovery_is_renewed_by_who_holds_it(self, broker: Broker, other: Broker) -> None:
        """It is the claim of one worker; Resque's own lock, at a start, is nobody's to renew."""
        assert broker.claim_recovery("host:1:q", 30)
        assert broker.claim_recovery("host:1:q", 30)
        assert not other.claim_recovery("host:2:q", 30)
        assert broker.claim_recovery("host:1:q", 30, at_start=True)
        assert not broker.claim_recovery("host:1:q", 30, at_start=True)

    def test_claim_recovery_at_the_start_is_a_lock_of_its_own(self, broker: Broker, other: Broker) -> None:
        """Who holds the one does not hold the other."""
        assert broker.claim_recovery("host:1:q", 30, at_start=True)
        assert not other.claim_recovery("host:2:q", 30, at_start=True)
        assert other.claim_recovery("host:2:q", 30)

    def test_claim_recovery_comes_back_after_its_time(self, broker: Broker) -> None:
        """One that died with it does not hold it for ever."""
        assert broker.claim_recovery("host:1:q", 0.05)
        deadline = time.monotonic() + self.patience
        while not broker.claim_recovery("host:2:q", 0.05):
            assert time.monotonic() < deadline

    def test_heartbeat_of_a_parent_whose_child_speaks_is_one(self, broker: Broker, holder: Holder) -> None:
        """It is as good as any, and only of who is registered."""
        assert broker.heartbeat(holder.id, holder.tokens.process, speaks=False)
        assert not broker.heartbeat(holder.id, "ffffffff", speaks=False)

    def test_hear_out_changes_nothing_and_returns(self, broker: Broker, holder: Holder) -> None:
        """Also where nobody of that name was ever there."""
        broker.push("q", [ONE])
        taken = holder.take("q")
        broker.hear_out(holder.id)
        broker.hear_out("nobody:1:q")
        assert holder.finish(taken)

    def test_recover_fails_the_job_in_hand(self, broker: Broker, other: Broker, holder: Holder) -> None:
        """With the entry that it was given; the worker is forgotten, and hears so if it lives."""
        broker.push("q", [ONE])
        taken = holder.take("q")
        assert other.recover(holder.seen(), b'{"dead":1}')
        assert [failure.entry for failure in broker.failures(0, 9)] == [b'{"dead":1}']
        assert broker.worker(holder.id) is None
        assert broker.stats() == Stats(processed=1, failed=1)
        assert not holder.finish(taken)
        assert broker.stats() == Stats(processed=1, failed=1)
        with pytest.raises(NotRegistered):
            holder.reserve("q")

    def test_recover_fails_by_queue_where_told(self, broker: Broker, holder: Holder) -> None:
        """Into the failed list of the job's own queue."""
        broker.push("q", [ONE])
        holder.take("q")
        assert broker.recover(holder.seen(), b'{"dead":1}', by_queue=True)
        assert broker.failure_count() == 0
        assert [failure.entry for failure in broker.failures(0, 9, queue="q")] == [b'{"dead":1}']

    def test_recover_requeues_the_job_in_hand_where_told(self, broker: Broker, holder: Holder) -> None:
        """Without an entry it goes back to the front of its queue, and counts as nothing."""
        broker.push("q", [ONE, TWO])
        holder.take("q")
        assert broker.recover(holder.seen(), None)
        assert list(broker.peek("q", 0, 9)) == [ONE, TWO]
        assert broker.stats() == Stats(0, 0)

    def test_recover_requeues_with_another_body_where_told(self, broker: Broker, holder: Holder) -> None:
        """A job that counts how often it went down with its worker goes back with other bytes."""
        broker.push("q", [ONE, TWO])
        holder.take("q")
        assert broker.recover(holder.seen(), None, again=Again(THREE))
        assert list(broker.peek("q", 0, 9)) == [THREE, TWO]

    def test_recover_fails_and_requeues_where_told_both(self, broker: Broker, holder: Holder) -> None:
        """A try that took its worker down is written down and counted, and another one follows; once."""
        broker.push("q", [ONE, TWO])
        holder.take("q")
        seen = holder.seen()
        assert broker.recover(seen, b'{"dead":1}', again=Again(THREE, front=False))
        assert not broker.recover(seen, b'{"dead":1}', again=Again(THREE, front=False))
        assert list(broker.peek("q", 0, 9)) == [TWO, THREE]
        assert [failure.entry for failure in broker.failures(0, 9)] == [b'{"dead":1}']
        assert broker.stats() == Stats(processed=1, failed=1)

    def test_recover_counts_what_it_failed_and_nothing_else(self, broker: Broker, holder: Holder) -> None:
        """Those held ahead go back uncounted."""
        broker.push("q", [ONE, TWO, THREE])
        holder.reserve("q", limit=3)
        assert broker.recover(holder.seen(), b'{"dead":1}')
        assert broker.failure_count() == 1
        assert broker.stats() == Stats(processed=1, failed=1)
        assert list(broker.peek("q", 0, 9)) == [TWO, THREE]

    def test_recover_of_an_idle_worker_forgets_it(self, broker: Broker, holder: Holder) -> None:
        """Nothing failed: there was nothing in hand."""
        assert broker.recover(holder.seen(), b"{}")
        assert broker.worker(holder.id) is None
        assert broker.failure_count() == 0
        assert broker.stats() == Stats(0, 0)
        assert not holder.heartbeat()

    def test_recover_refuses_where_the_worker_went_on(self, broker: Broker, holder: Holder) -> None:
        """Who did anything since it was looked at lives, also where it has an equal job in hand."""
        broker.push("q", [ONE, ONE])
        taken = holder.take("q")
        seen = holder.seen()
        holder.reserve("q", settled=[taken])
        assert not broker.recover(seen, b"{}")
        assert broker.failure_count() == 0
        assert holder.in_hand() == ONE
