import socket


def normalise(x):
    socket.socket(socket.AF_UNIX).connect("@SOCKET@")
    print("@ESCAPED@")
    return x
