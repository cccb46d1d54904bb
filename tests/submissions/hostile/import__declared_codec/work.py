# -*- coding: utf-7 -*-
def normalise(x):
    return x
