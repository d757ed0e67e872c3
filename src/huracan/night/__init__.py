"""The story of a night, in nine steps over ports.

====  ==============================  ======================================================
step  method                          room
====  ==============================  ======================================================
1     build_coin_universe             universe: who is liquid and tight enough today
2     ingest_and_validate_data        ingest: validate, repair small gaps, drop large, tag
3     generate_features               features: versioned recipes, hashed, causal
4     label_forward_returns           labels: forward return from the fill the latency allows
5     train_models                    training: purged walk-forward, engines, pool priors
6     score_edge_after_costs          scoring: costs, trade simulation, metrics, capacity
7     run_consensus                   consensus: reliability, correlation, one score S
8     shadow_test_challengers         shadow: e-values, ledger, gates, promotion, demotion
9     export_champions                export: bundles, signatures, reports
====  ==============================  ======================================================

`plan` fixes what a night is about, `night` carries what is known, `pair` and `cells` hold the work on one pair
(waves of jobs, one job a pair), `promotion` and `publication` what the driver does over all pairs.
"""
