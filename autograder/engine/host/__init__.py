"""The command line's side of the engine: starts zygote and judges; never imports torch."""
