"""Bytes in flight: never more than the budget, nobody starves, and a cancelled wait gives back what it took."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from huracan.adapters.binance.byte_budget import ByteBudget


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 40),
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 3), st.booleans()), min_size=1, max_size=25),
)
def test_no_more_than_the_total_is_held_and_everybody_gets_a_turn(total, asked):
    budget, most = ByteBudget(total), 0

    async def one(size, steps):
        nonlocal most
        async with budget.hold(size):
            most = max(most, budget.held)
            for _ in range(steps):
                await asyncio.sleep(0)
        return True

    async def everybody():
        tasks = [asyncio.create_task(one(size, steps)) for size, steps, _ in asked]
        await asyncio.sleep(0)
        for task, (_, _, cancelled) in zip(tasks, asked, strict=True):
            if cancelled:
                task.cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    done = asyncio.run(everybody())
    assert all(result is True or isinstance(result, asyncio.CancelledError) for result in done)
    assert budget.held == 0
    assert most <= total


def test_turns_are_given_in_the_order_of_asking():
    order = []

    async def one(budget, name, size):
        async with budget.hold(size):
            order.append(name)
            await asyncio.sleep(0)

    async def everybody():
        budget = ByteBudget(10)
        await asyncio.gather(*(one(budget, name, size) for name, size in [("a", 6), ("b", 8), ("c", 1), ("d", 1)]))

    asyncio.run(everybody())
    assert order == ["a", "b", "c", "d"]
