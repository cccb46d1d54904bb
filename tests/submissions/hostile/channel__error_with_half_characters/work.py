def normalise(x):
    send(message("error", kind="K\ud800", text="T\udfff", where="W\udc00", value_error=1, traceback="\ud800"))
    time.sleep(60)
