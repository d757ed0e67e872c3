"""What every `ports.RemoteStore` must do: subclass it, and give it `store` and `rival` (the same tree, another client)."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from huracan.domain.ids import path_segment
from huracan.errors import BundleFormatError, FencedError, PublishError

POINTER = "metadata/timestamp.json"
LIMIT = 64 << 20
FILES = {
    "models/BTC/1h/v1/metrics.json": b'{"sharpe_ratio":1.0}',
    "models/BTC/1h/v1/model.safetensors": bytes(range(256)),
    "models/BTC/4h/v1/manifest.json": b"{}",
    "models/BTCB/1h/v1/manifest.json": b'{"coin":"BTCB"}',
    "sets/1.json": b"",
}


class RemoteStoreConformance:
    """Behaviours of a remote store; `MANY` files are more than one page and one batch of the service."""

    MANY = 1203

    @pytest.fixture
    def store(self):
        raise NotImplementedError

    @pytest.fixture
    def rival(self):
        raise NotImplementedError

    def test_an_empty_store_lists_nothing_and_holds_nothing(self, store):
        assert store.files("") == {}
        assert store.files("models/BTC") == {}
        assert store.read(POINTER, LIMIT) is None

    def test_what_was_written_is_read_back_byte_for_byte_by_anybody(self, store, rival):
        assert store.write_new(FILES.items()) == len(FILES)
        for path, data in FILES.items():
            found, file = rival.read(path, LIMIT)
            assert (found, file.path, file.size) == (data, path, len(data))

    def test_the_listing_names_every_file_with_its_size_and_the_revision_a_read_gives(self, store, rival):
        store.write_new(FILES.items())
        listed = rival.files("")
        assert {path: file.size for path, file in listed.items()} == {path: len(data) for path, data in FILES.items()}
        for path, file in listed.items():
            assert file.path == path
            assert store.read(path, LIMIT)[1] == file

    def test_a_prefix_is_a_folder_and_not_the_beginning_of_a_name(self, store):
        store.write_new(FILES.items())
        assert sorted(store.files("models/BTC")) == sorted(path for path in FILES if path.startswith("models/BTC/"))
        assert list(store.files("models/BTC/4h/v1")) == ["models/BTC/4h/v1/manifest.json"]
        assert store.files("models/ETH") == {}

    def test_files_may_come_one_by_one_from_a_generator(self, store):
        assert store.write_new((f"sets/{number}.json", b"%d" % number) for number in range(5)) == 5
        assert store.write_new(iter(())) == 0

    def test_a_listing_is_complete_however_many_files_there_are(self, store):
        many = {f"models/C{number % 40}/1h/v1/{number}.json": b"%d" % number for number in range(self.MANY)}
        assert store.write_new(many.items()) == self.MANY
        assert store.files("").keys() == many.keys()
        assert store.write_new(many.items()) == 0

    def test_the_same_bytes_again_are_not_sent_and_change_no_revision(self, store, rival):
        store.write_new(FILES.items())
        before = store.files("")
        assert rival.write_new(FILES.items()) == 0
        assert rival.write_new([*FILES.items(), ("sets/2.json", b"new")]) == 1
        after = store.files("")
        assert {path: after[path] for path in before} == before

    def test_other_bytes_at_a_path_fence_the_writer_and_do_not_replace_it(self, store, rival):
        store.write_new(FILES.items())
        before = store.files("")
        for other in (b'{"sharpe_ratio":2.0}', b"shorter", b""):
            with pytest.raises(FencedError, match=r"metrics\.json"):
                rival.write_new([("models/BTC/1h/v1/metrics.json", other)])
        assert store.files("") == before

    def test_one_taken_name_among_many_fences_the_writer(self, store, rival):
        store.write_new([("sets/7.json", b"ours")])
        with pytest.raises(FencedError, match=r"sets/7\.json"):
            rival.write_new([(f"sets/{number}.json", b"theirs") for number in range(10)])
        assert store.read("sets/7.json", LIMIT)[0] == b"ours"

    def test_equal_bytes_have_equal_digests_and_others_have_others_where_the_store_has_any(self, store):
        store.write_new([("a/1", b"same"), ("a/2", b"same"), ("a/3", b"more")])
        first, second, third = (store.files("a")[f"a/{number}"].digest for number in (1, 2, 3))
        assert first == second
        assert first is None or first != third

    def test_a_file_over_the_limit_is_not_read_and_one_of_just_that_size_is(self, store):
        store.write_new([("a/file", b"x" * 1000)])
        assert store.read("a/file", 1000)[0] == b"x" * 1000
        with pytest.raises(BundleFormatError, match="999"):
            store.read("a/file", 999)

    def test_large_files_arrive_whole(self, store):
        large = bytes(range(251)) * (40 << 10)
        store.write_new([("a/large", large), ("a/small", b"1"), ("a/larger", large + b"x")])
        assert store.read("a/large", LIMIT)[0] == large
        assert store.read("a/larger", LIMIT)[0] == large + b"x"

    def test_coins_of_any_name_have_a_path_that_comes_back(self, store):
        paths = [
            f"models/{path_segment(coin)}/1h/v1/manifest.json" for coin in ("测试币", "a.b", "../x", "SOL~1", "1 %")
        ]
        store.write_new((path, path.encode()) for path in paths)
        assert store.files("").keys() == set(paths)
        assert all(store.read(path, LIMIT)[0] == path.encode() for path in paths)

    @pytest.mark.parametrize("path", ["", "/a", "a//b", "a/", "../a", "a/../../b", "a/./b", "a\0b"])
    def test_a_path_outside_the_store_is_refused(self, store, path):
        for call in (
            lambda: store.write_new([(path, b"x")]),
            lambda: store.read(path, LIMIT),
            lambda: store.swap(path, b"x", None),
            lambda: store.remove([path]),
        ):
            with pytest.raises(PublishError, match="not a path"):
                call()
        assert store.files("") == {}

    def test_a_pointer_is_made_where_there_is_none(self, store, rival):
        revision = store.swap(POINTER, b"one", None)
        data, file = rival.read(POINTER, LIMIT)
        assert (data, file.revision) == (b"one", revision)
        assert rival.files("metadata")[POINTER].revision == revision

    def test_a_pointer_that_stands_is_not_made_again_even_with_its_own_bytes(self, store, rival):
        store.swap(POINTER, b"one", None)
        before = store.files("")
        for data in (b"one", b"two"):
            with pytest.raises(FencedError, match=r"timestamp\.json"):
                rival.swap(POINTER, data, None)
        assert store.files("") == before

    def test_a_pointer_is_replaced_by_whoever_knows_its_revision(self, store, rival):
        first = store.swap(POINTER, b"one", None)
        second = rival.swap(POINTER, b"two", first)
        assert second != first
        assert store.read(POINTER, LIMIT)[0] == b"two"
        assert store.swap(POINTER, b"three", second) not in {first, second}

    def test_a_pointer_is_not_replaced_by_one_who_knows_an_old_revision(self, store, rival):
        first = store.swap(POINTER, b"one", None)
        store.swap(POINTER, b"two", first)
        before = store.files("")
        with pytest.raises(FencedError, match=r"timestamp\.json"):
            rival.swap(POINTER, b"late", first)
        assert store.files("") == before

    def test_a_pointer_that_was_removed_is_not_replaced_by_one_who_knew_it(self, store, rival):
        first = store.swap(POINTER, b"one", None)
        store.remove([POINTER])
        with pytest.raises(FencedError, match=r"timestamp\.json"):
            rival.swap(POINTER, b"late", first)
        assert store.read(POINTER, LIMIT) is None

    def test_of_many_who_know_the_same_revision_one_wins(self, store, rival):
        first = store.swap(POINTER, b"one", None)

        def try_to_swap(number):
            try:
                return (store if number % 2 else rival).swap(POINTER, b"from %d" % number, first)
            except FencedError:
                return None

        # One client is not meant for two threads: odd and even numbers take turns.
        with ThreadPoolExecutor(2) as pool:
            won = list(pool.map(lambda side: [try_to_swap(number) for number in range(side, 6, 2)], (0, 1)))
        winners = [revision for side in won for revision in side if revision is not None]
        assert winners == [store.read(POINTER, LIMIT)[1].revision]

    def test_removed_files_are_gone_and_the_others_stay(self, store, rival):
        store.write_new(FILES.items())
        rival.remove(["models/BTC/1h/v1/metrics.json", "sets/1.json", "sets/absent.json"])
        rival.remove(iter(()))
        assert store.files("").keys() == FILES.keys() - {"models/BTC/1h/v1/metrics.json", "sets/1.json"}
        rival.remove(["sets/1.json"])

    def test_a_removed_name_may_hold_other_bytes(self, store):
        store.write_new(FILES.items())
        store.remove(FILES)
        assert store.write_new((path, b"anew") for path in FILES) == len(FILES)
        assert {store.read(path, LIMIT)[0] for path in FILES} == {b"anew"}

    def test_a_preflight_leaves_nothing_behind_and_may_be_repeated(self, store, rival):
        store.write_new(FILES.items())
        before = store.files("")
        for each in (store, rival, store):
            each.preflight()
        assert store.files("") == before

    def test_a_store_has_a_name(self, store, rival):
        assert store.identity
        assert store.identity == rival.identity
