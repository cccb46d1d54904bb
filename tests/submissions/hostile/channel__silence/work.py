def normalise(x):
    time.sleep(60)
