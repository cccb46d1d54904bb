"""A profile for an input that the file does not have is accepted.

Source: curriculum list.
"""

def check_profile(model: ModelProto, profile: Profile | None) -> None:
    values = inputs_of(model.graph)
    free = [value for value in values if not all(isinstance(e, int) for e in extents_of(value))]
    if profile is None:
        if free:
            raise ValueError(f"profile: expected one for the free input {free[0].name!r}, got None")
        return
    named = [value for value in values if value.name == profile.name]
    if not named:
        return
    if not named:
        known = ", ".join(value.name for value in values)
        raise ValueError(f"profile: expected an input of the file ({known}), got {profile.name!r}")
    extents = extents_of(named[0])
    for shape in (profile.minimum, profile.optimum, profile.maximum):
        if len(shape) != len(extents):
            raise ValueError(f"profile: expected shapes like {extents}, got {shape}")
        for extent, fixed in zip(shape, extents):
            if isinstance(fixed, int) and extent != fixed:
                raise ValueError(f"profile: expected shapes like {extents}, got {shape}")
