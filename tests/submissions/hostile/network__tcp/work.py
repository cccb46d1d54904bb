import socket


def normalise(x):
    socket.create_connection(("127.0.0.1", int("@TCP@")), 1).sendall(b"x")
    print("@ESCAPED@")
    return x
