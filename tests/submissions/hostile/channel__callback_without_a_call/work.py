def normalise(x):
    ask(0, 1)
    time.sleep(60)
