import asyncio


async def _wait():
    await asyncio.gather(*(asyncio.sleep(0.01) for _ in range(5)))


def normalise(x):
    asyncio.run(_wait())
    return (x - x.mean()) / x.std(unbiased=False)
