import threading


def search(function, budget):
    sock = worker()._sock
    call = message("callback", callback=0, args=[["not a number" * 1000], {"$": "dict", "v": []}])

    def drain():
        while sock.recv(1 << 16):
            pass

    threading.Thread(target=drain, daemon=True).start()
    for _ in range(90_000):
        send(call)
    time.sleep(60)
