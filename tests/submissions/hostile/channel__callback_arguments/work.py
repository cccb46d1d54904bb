def search(function, budget):
    send(message("callback", callback=0, args=[[1], {"$": "dict", "v": [[1, 2]]}]))
    send(message("callback", callback=0, args="n"))
    time.sleep(60)
