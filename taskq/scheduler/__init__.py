"""The scheduler: a process that moves delayed jobs into their queues when they are due, and enqueues what recurs.

Of several only the one that holds the lock does anything; the others stand by. It performs no job.
"""
