import numpy as np
from sklearn.cluster import KMeans


def normalise(x):
    KMeans(2, n_init=1, random_state=0).fit(np.arange(20.0).reshape(-1, 1))
    return (x - x.mean()) / x.std(unbiased=False)
