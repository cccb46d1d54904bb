def normalise(x):
    print("</pre></details><script>alert('output')</script>")
    raise RuntimeError("<script>alert('message')</script><img src=x onerror=alert(1)>")
