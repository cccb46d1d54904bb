def normalise(x):
    import socket

    for _ in range(100):
        try:
            worker()._sock.send(b"!", socket.MSG_OOB)
        except OSError:
            pass
    return x
