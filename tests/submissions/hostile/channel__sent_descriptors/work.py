def normalise(x):
    import array
    import os
    import socket

    files = array.array("i", [os.open("/dev/null", os.O_RDONLY) for _ in range(20)])
    data = message("value", value=1.0)
    worker()._sock.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)])
    time.sleep(60)
