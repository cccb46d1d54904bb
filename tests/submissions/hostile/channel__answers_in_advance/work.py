for _ in range(3):
    send(message("value", value=None))
