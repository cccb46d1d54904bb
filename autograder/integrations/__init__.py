"""Where results go besides files: platforms that run the kit or show its results."""
