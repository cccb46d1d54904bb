import sqlite3


def normalise(x):
    with sqlite3.connect("runs.db") as base:
        base.execute("create table t (a)")
        base.execute("insert into t values (1)")
    return (x - x.mean()) / x.std(unbiased=False)
