def search(function, budget):
    def again(depth):
        return function(again(depth + 1) if depth < 900 else 1)

    return again(0)
