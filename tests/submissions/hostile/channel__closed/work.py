def normalise(x):
    import os

    os.close(worker()._sock.fileno())
    time.sleep(60)
