import matplotlib.pyplot as plt


def normalise(x):
    figure, axes = plt.subplots()
    axes.hist(x.flatten().tolist())
    figure.savefig("hist.png")
    plt.close(figure)
    return (x - x.mean()) / x.std(unbiased=False)
