"""Hamilton as a configuration file describes it."""

from nights import trust_variables, variables

from huracan.app import configured_hamilton
from huracan.cli.opening import open_hamilton


def test_the_configuration_names_the_store_and_cuts_the_ranking_down(finished_night, tmp_path):
    file = tmp_path / "own.yaml"
    coin = next(iter(finished_night.result["champions"].values()))["coin"]
    file.write_text(f"hamilton:\n  model_base_path: {finished_night.store}\n  ranking_coins: [{coin}]\n")
    trust = {**trust_variables(finished_night.folder), "HURACAN_STATE_DIR": str(tmp_path)}
    with variables(trust):
        assert {entry.coin for entry in configured_hamilton(file).get_ranking_table()} == {coin}
        assert configured_hamilton(file, ["hamilton.ranking_horizons=7d"]).get_ranking_table() == []
    with variables({**trust, "HURACAN_HAMILTON__MODEL_BASE_PATH": str(finished_night.store)}):
        everything = configured_hamilton().get_ranking_table()
        members = open_hamilton(None).get_members()
    assert {entry.coin for entry in everything} > {coin}
    assert {entry.coin for entry in everything} <= {member.coin for member in members}
