"""Judge and worker: graders run in one process, student code in another."""
