import asyncio

import pytest

from multibuild.build.tails import SOON, Tails


async def slow(seconds, ended):
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        await asyncio.sleep(SOON + 0.3)  # a process takes a moment to end
        ended.append("cancelled")
        raise
    ended.append("ended")


async def leave(said, ended, *, needed, seconds, interrupt=None):
    async with Tails(said.append) as tails:
        tails.add(asyncio.create_task(slow(seconds, ended)), needed=needed)
        await asyncio.sleep(0)
        if interrupt is not None:
            me = asyncio.current_task()
            assert me is not None
            asyncio.get_running_loop().call_later(interrupt, me.cancel)
        if interrupt == 0:
            await asyncio.sleep(1)


@pytest.mark.parametrize(
    ("needed", "seconds", "told", "end"),
    [(True, SOON + 0.3, 1, "ended"), (True, 0.1, 0, "ended"), (False, 9, 0, "cancelled")],
)
def test_only_what_is_waited_for_is_worth_a_word(needed, seconds, told, end):
    said: list[str] = []
    ended: list[str] = []
    asyncio.run(leave(said, ended, needed=needed, seconds=seconds))
    assert (len(said), ended) == (told, [end])


@pytest.mark.parametrize("interrupt", [0, 0.2])
def test_an_interruption_ends_them_and_says_nothing(interrupt):
    """In the block, or while they are waited for."""
    said: list[str] = []
    ended: list[str] = []
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(leave(said, ended, needed=True, seconds=9, interrupt=interrupt))
    assert (said, ended) == ([], ["cancelled"])
