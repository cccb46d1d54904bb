def normalise(x):
    send(message("error", kind=["x"], text=7, where={}, value_error="yes", traceback=None))
    time.sleep(60)
