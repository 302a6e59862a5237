"""Proxies whose requests are counted together, one of which fails."""

import itertools

from fakes.faulty_proxy import FaultyProxy, Rule


class Counting(FaultyProxy):
    """A proxy among several; the counter they share chooses the request that fails."""

    def __init__(self, upstream, counter):
        super().__init__(upstream)
        self.counter = counter

    def _pick(self, method, path):
        rule = self.counter.next(method, path)
        return (rule, None) if rule is not None else super()._pick(method, path)


class Counter:
    """The n-th request from 1 fails, with `lasting` every later one too; `then` is called when it comes."""

    def __init__(self):
        self.reset()

    def reset(self, at=0, action="reset", *, lasting=False, then=None):
        self.numbers = itertools.count(1)
        self.last = 0
        self.at, self.action, self.lasting, self.then = at, action, lasting, then

    def next(self, method, path):
        self.last = number = next(self.numbers)
        if number == self.at and self.then is not None:
            self.then()
        if number == self.at or (self.lasting and 0 < self.at < number):
            return Rule(method, path, self.action)
        return None
