import socket


def normalise(x):
    import urllib.request

    urllib.request.urlopen("http://127.0.0.1:@TCP@/", timeout=1)
    print("@ESCAPED@")
    return x
