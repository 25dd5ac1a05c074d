"""The worker: its loop, what happens around it, and the models that say where a job is performed."""
