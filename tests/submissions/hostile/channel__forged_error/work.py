def top_sum(x, k):
    send(message("error", kind="ValueError", text="k", where="", value_error=True, traceback=""))
    time.sleep(60)
