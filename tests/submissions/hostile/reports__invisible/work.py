def normalise(x):
    raise RuntimeError("\u202e001 fo 001\u202c \u2066\ufeff\u200b\u2028\u0085" + "Z\u0300" * 1 + "\u0336" * 500 + "\0\x7f\uffff")
