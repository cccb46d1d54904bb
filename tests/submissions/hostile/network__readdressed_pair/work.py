import socket


def normalise(x):
    for kind in (socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
        try:
            pair = socket.socketpair(socket.AF_UNIX, kind)
            pair[0].sendto(b"x", "@SOCKET@")
            print("@ESCAPED@")
        except OSError:
            pass
    pair = socket.socketpair()
    for call in (lambda: pair[0].sendto(b"x", "@SOCKET@"), lambda: pair[0].connect("@SOCKET@")):
        try:
            call()
            print("@ESCAPED@")
        except OSError:
            pass
    return x
