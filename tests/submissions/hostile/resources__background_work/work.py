import threading


def _burn():
    while True:
        sum(range(1000))


threading.Thread(target=_burn, daemon=True).start()
