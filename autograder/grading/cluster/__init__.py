"""Grading on a Dask distributed cluster: the command line dispatches, workers keep judges at work.

    command line (dispatch)                      Dask worker (worker)
      hello            ── scheduler ──►            versions: equal, or it is refused
      terms, with key  ── straight ───►            fingerprints: equal, or it is refused; judges
      a submission     ── as a task ──►            the pool of `engine.host`, as on one machine
      its report       ◄── straight ───

The key of the draws never reaches the scheduler, and a task's name tells nothing.
"""
