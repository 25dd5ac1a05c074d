"""What an operator sees and does, for pages, JSON and commands alike: `app.operator`."""

from taskq.operator.desk import Operator, Parts, ShownValue
from taskq.operator.jobs import JobInfo, Parameter
from taskq.operator.names import named
from taskq.operator.queues import QueuePage, QueueState, WaitingJob, job_id, served_by
from taskq.operator.workers import Pruned, WorkerState

__all__ = [
    "JobInfo",
    "Operator",
    "Parameter",
    "Parts",
    "Pruned",
    "QueuePage",
    "QueueState",
    "ShownValue",
    "WaitingJob",
    "WorkerState",
    "job_id",
    "named",
    "served_by",
]
