import socket


def normalise(x):
    socket.socket(socket.AF_UNIX).connect("\0@ABSTRACT@")
    print("@ESCAPED@")
    return x
