def normalise(x):
    raise RuntimeError("{{ 90001 * 90001 }} {% raw %} ${90001 * 90001} #{90001 * 90001} {{ ''.__class__.__mro__ }}")
