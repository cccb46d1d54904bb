import os


def parent(pid):
    return int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1])


def normalise(x):
    pid = os.getppid()
    for _ in range(2):  # the zygote, the command line
        for name in ("mem", "environ", "fd/0", "cwd", "root"):
            try:
                open(f"/proc/{pid}/{name}").close()
                print("@ESCAPED@", pid, name)
            except IsADirectoryError:
                print("@ESCAPED@", pid, name)
            except OSError:
                pass
        try:
            pid = parent(pid)
        except OSError:
            break
    return x
