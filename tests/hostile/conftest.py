"""The judge runs the graders; the kit's own pytest must not collect them."""

collect_ignore = ["graders"]
