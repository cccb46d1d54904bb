STUDENT = __author__ = "0 innocent"
