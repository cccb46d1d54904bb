def normalise(x):
    import socket

    worker()._sock.shutdown(socket.SHUT_RD)
    return x
