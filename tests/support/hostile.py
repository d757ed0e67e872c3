"""Published trees in memory, and texts damaged in the ways that accidents and attackers damage them."""

import random

from huracan.errors import BundleFormatError


class Tree:
    """A source in memory; `asked` are the files that were read."""

    identity = "tree"

    def __init__(self, files):
        self.files, self.asked = dict(files), set()

    def read(self, path, limit):
        data = self.files.get(path)
        if data is not None:
            self.asked.add(path)
            if len(data) > limit:
                raise BundleFormatError(f"{path} is too long")
        return data

    def version(self):
        return self.files.get("metadata/timestamp.json")


def tree_of(world):
    return Tree({path: world.store.read(path) for path in world.store.list("")})


def mutants(data, rounds, seed):
    """Damaged copies of a JSON text: bytes changed, pieces repeated, values replaced by hostile ones."""
    rng = random.Random(seed)
    hostile = [
        b"null",
        b"-1",
        b"1e999",
        b"NaN",
        b"{}",
        b"[]",
        b'"\\u0000"',
        b"99999999999999999999",
        b'"../x"',
        b"true",
    ]
    for _ in range(rounds):
        text = bytearray(data)
        for _ in range(rng.randint(1, 3)):
            start = rng.randrange(len(text))
            end = min(len(text), start + rng.randint(1, 12))
            choice = rng.randrange(4)
            if choice == 0:
                text[start] = rng.randrange(256)
            elif choice == 1:
                text[start:end] = b""
            elif choice == 2:
                text[start:start] = text[start:end]
            else:
                text[start:end] = rng.choice(hostile)
            if not text:
                break
        yield bytes(text)
