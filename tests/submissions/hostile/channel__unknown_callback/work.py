def search(function, budget):
    for number in (99, -1, True, "0", None):
        ask(number, 1)
    time.sleep(60)
