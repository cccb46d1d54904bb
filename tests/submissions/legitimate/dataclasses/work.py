import dataclasses
import enum
import typing


class Mode(enum.Enum):
    FAST = 1


@dataclasses.dataclass(frozen=True)
class Settings:
    mode: Mode = Mode.FAST
    scale: typing.Optional[float] = None


def normalise(x):
    assert typing.get_type_hints(Settings)
    assert dataclasses.asdict(Settings())
    return (x - x.mean()) / x.std(unbiased=False)
