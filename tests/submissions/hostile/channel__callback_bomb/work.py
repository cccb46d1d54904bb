def search(function, budget):
    while True:
        try:
            function(1)
        except Exception:
            pass
