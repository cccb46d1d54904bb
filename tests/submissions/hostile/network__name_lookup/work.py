import socket


def normalise(x):
    socket.getaddrinfo("secret.example.org", 80)
    print("@ESCAPED@")
    return x
