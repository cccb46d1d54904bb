def normalise(x):
    import socket

    worker()._sock.shutdown(socket.SHUT_WR)
    time.sleep(60)
