"""The trusted process that holds graders, seeds and points, and asks workers for values."""
