import multiprocessing
import os
import pty
import subprocess


def normalise(x):
    doors = (
        lambda: subprocess.run(["/bin/true"], check=True),
        lambda: os.posix_spawn("/bin/true", ["true"], {}),
        lambda: os.execv("/bin/true", ["true"]),
        lambda: multiprocessing.get_context("fork").Process(target=print).start(),
        lambda: multiprocessing.get_context("spawn").Pool(2),
        lambda: pty.fork(),
    )
    for door in doors:
        try:
            door()
            print("@ESCAPED@")
        except Exception as error:
            print(repr(error)[:80])
    if os.system("true") == 0:
        print("@ESCAPED@")
    return x
