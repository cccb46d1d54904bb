"""Where results go besides files: platforms that run the kit or show what it found."""
