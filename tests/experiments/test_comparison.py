from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurofit.errors import UsageError
from neurofit.experiments.tables.comparison import by_run, compare, spread

# Student's sleep data: extra hours of ten patients under two drugs. R 4.3, t.test(extra ~ group, sleep, paired=TRUE):
# mean difference 1.58 (second minus first), 95 % interval 0.7001142 to 2.4598858.
DRUG_1 = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
DRUG_2 = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]


def record(run, repetition=0, score=0.5, params=None, **other) -> dict:
    return {
        "run": run, "id": f"{run:016x}", "architecture": "hsm", "params": params or {}, "derived": {}, "defaults": {},
        "repetition": repetition, "state": "done", "seeds": {"init": 10 + repetition, "split": 7},
        "metrics": {"test/correlation": score}, "facts": {"data_hash": "d0", "neurons_scored": 50}, "code": "c0",
        "versions": {"keras": "3.5.0"}, **other,
    }  # fmt: skip


def sleep() -> list[dict]:
    first = [record(1, i, score, {"drug": 1}) for i, score in enumerate(DRUG_1)]
    return first + [record(2, i, score, {"drug": 2}) for i, score in enumerate(DRUG_2)]


def test_the_interval_of_five_numbers_is_that_of_the_t_table():
    # 1 2 3 4 5: mean 3, s = sqrt(2.5); t(0.975, 4) = 2.776 (NIST e-Handbook 1.3.6.7.2); 2.776 * s / sqrt(5) = 1.963.
    row = by_run([record(1, i, score) for i, score in enumerate([1, 2, 3, 4, 5])]).iloc[0]
    assert row["test/correlation mean"] == 3 and row["test/correlation median"] == 3
    assert row["test/correlation low"] == pytest.approx(3 - 1.963, abs=1e-3)
    assert row["test/correlation high"] == pytest.approx(3 + 1.963, abs=1e-3)
    assert row["test/correlation p10"] == pytest.approx(1.4) and row["test/correlation p90"] == pytest.approx(4.6)


def test_the_interval_of_two_numbers_is_wide():
    # t(0.975, 1) = 12.706 (same table); s / sqrt(2) = 0.5.
    row = by_run([record(1, 0, 1.0), record(1, 1, 2.0)]).iloc[0]
    assert row["test/correlation high"] == pytest.approx(1.5 + 12.706 / 2, abs=1e-3)


def test_a_single_repetition_has_no_interval():
    row = by_run([record(1, 0, 0.25)]).iloc[0]
    assert row["test/correlation mean"] == 0.25 == row["test/correlation median"]
    assert math.isnan(row["test/correlation low"]) and math.isnan(row["test/correlation high"])
    assert row["varied"] is None


@given(st.lists(st.lists(st.floats(-1e6, 1e6) | st.just(math.nan), min_size=4, max_size=4), max_size=5))
def test_quantiles_and_means_are_numpys_over_the_numbers_there_are(rows):
    matrix = np.array(rows).reshape(-1, 4)
    found = spread(matrix)
    for place, row in enumerate(matrix):
        there = row[np.isfinite(row)]
        assert found["n"][place] == len(there)
        if not len(there):
            assert math.isnan(found["mean"][place]) and math.isnan(found["median"][place])
            continue
        assert found["mean"][place] == pytest.approx(there.mean(), abs=1e-6)
        for name, at in (("median", 50), ("p10", 10), ("p90", 90)):
            assert found[name][place] == pytest.approx(np.percentile(there, at), abs=1e-6)


def test_only_what_is_done_is_averaged_and_the_rest_counted():
    others = [record(1, 1, 9.0, state="failed"), record(1, 2, state="new", metrics=None)]
    frame = by_run([record(1, 0, 1.0), *others, record(2, 0, 4.0)])
    assert frame["repetitions"].tolist() == [1, 1] and frame["missing"].tolist() == [2, 0]
    assert frame["test/correlation mean"].tolist() == [1.0, 4.0]


def test_a_run_with_nothing_done_keeps_its_row():
    frame = by_run([record(1, 0, state="failed", metrics=None), record(2, 0)])
    assert frame["repetitions"].tolist() == [0, 1]
    assert math.isnan(frame["test/correlation mean"].iloc[0])


def test_a_metric_that_some_repetitions_lack_has_its_own_count():
    frame = by_run([record(1, 0, metrics={"a": 1.0, "b": 2.0}), record(1, 1, metrics={"a": 3.0, "b": None})])
    assert frame["b n"].tolist() == [1] and "a n" not in frame
    assert frame["b mean"].tolist() == [2.0]


def test_what_varied_between_repetitions_is_said():
    def varied(**other):
        return by_run([record(1, 0, **other), record(1, 1, **other)])["varied"].iloc[0]

    assert varied() == "initialisation"
    assert varied(split_by="fold") == "initialisation, split"
    assert varied(seeds={"init": 1, "split": 1}) is None
    split = [record(1, i, seeds={"init": i, "split": i}) for i in range(2)]
    assert by_run(split)["varied"].iloc[0] == "initialisation, split"


def test_unlike_repetitions_are_never_averaged_in_silence():
    frame = by_run([record(1, 0), record(1, 1, code="c1"), record(2, 0), record(2, 1)])
    assert frame["mixed"].tolist() == ["2 codes", None]
    neurons = by_run([record(1, 0), record(1, 1, facts={"neurons_scored": 49, "data_hash": "d1"})])
    assert neurons["mixed"].tolist() == ["2 data sets, 49 and 50 neurons"]
    failed = by_run([record(1, 0), record(1, 1, code="c1", state="failed")])
    assert failed["mixed"].tolist() == [None]


def test_records_that_name_no_run_are_left_out_of_runs():
    frame = by_run([record(1), {**record(2), "run": None, "id": None}, {**record(3), "run": None}, "text"])
    assert frame["id"].tolist() == [record(1)["id"], record(3)["id"]]


def test_no_records_make_an_empty_table_of_runs():
    assert len(by_run([])) == 0


def test_a_paired_comparison_agrees_with_r():
    row = compare(sleep(), "drug").iloc[0]
    assert (row["a"], row["b"], row["pairs"]) == (1, 2, 10)
    assert row["difference mean"] == pytest.approx(1.58)
    assert row["difference low"] == pytest.approx(0.7001142, abs=1e-7)
    assert row["difference high"] == pytest.approx(2.4598858, abs=1e-7)
    assert row["difference median"] == pytest.approx(1.3)
    assert (row["wins"], row["ties"], row["unpaired"]) == (9, 1, 0)
    assert row["mixed"] is None


def test_pairs_share_the_repetition_and_everything_else():
    records = [
        record(1, 0, 0.1, {"a": 1, "b": 1}), record(1, 1, 0.2, {"a": 1, "b": 1}),
        record(2, 0, 0.4, {"a": 2, "b": 1}),  # repetition 1 is missing
        record(3, 0, 0.9, {"a": 2, "b": 2}),  # no run with a=1, b=2
    ]  # fmt: skip
    row = compare(records, "a").iloc[0]
    assert row["pairs"] == 1 and row["unpaired"] == 2
    assert row["difference mean"] == pytest.approx(0.3) and math.isnan(row["difference low"])
    assert row["a mean"] == 0.1 and row["b mean"] == 0.4


def test_three_values_make_three_pairs_in_ascending_order():
    records = [record(i, 0, i / 10, {"rate": rate}) for i, rate in enumerate([1e-2, 1e-4, 1e-3], 1)]
    frame = compare(records, "rate")
    assert frame[["a", "b"]].values.tolist() == [[1e-4, 1e-3], [1e-4, 1e-2], [1e-3, 1e-2]]


def test_a_default_that_applied_is_a_value_like_a_given_one():
    left_out = record(1, 0, 0.5, {"f": 4}, defaults={"l2": 0.1})
    row = compare([left_out, record(2, 0, 0.25, {"f": 4, "l2": 0.0})], "l2").iloc[0]
    assert (row["a"], row["b"], row["difference mean"]) == (0.0, 0.1, 0.25)


def test_a_derived_value_does_not_keep_runs_apart():
    records = [record(i, 0, i, {"f": i}, derived={"twice": 2 * i}) for i in (1, 2)]
    assert compare(records, "f")["pairs"].tolist() == [1]


def test_architectures_are_compared_like_arguments():
    records = [record(1, 0, 0.5), record(2, 0, 0.75, architecture="conv")]
    row = compare(records, "architecture").iloc[0]
    assert (row["a"], row["b"], row["difference mean"]) == ("hsm", "conv", 0.25)


def test_runs_without_the_argument_are_a_value_of_their_own():
    row = compare([record(1, 0, 0.5, {"f": 1}), record(2, 0, 0.75, {"f": 1, "l2": 0.1})], "l2").iloc[0]
    assert row["pairs"] == 1 and row["difference mean"] == 0.25
    assert row["a"] is None and row["b"] == 0.1


def test_values_may_be_lists_and_one_is_one_point_zero_but_not_true():
    records = [record(1, 0, 0.5, {"k": [1, 2]}), record(2, 0, 0.7, {"k": [3]}), record(3, 1, 0.9, {"k": [1.0, 2.0]})]
    frame = compare(records, "k")
    assert len(frame) == 1 and frame["a"].iloc[0] == [1, 2]
    assert len(compare([record(1, 0, params={"k": 1}), record(2, 0, params={"k": True})], "k")) == 1


def test_pairs_of_unlike_tasks_are_said():
    records = sleep()
    records[3]["code"] = records[4]["code"] = "c1"
    assert compare(records, "drug")["mixed"].tolist() == ["2 codes in 2 of 10 pairs"]


def test_of_two_runs_alike_in_their_arguments_the_later_one_counts():
    records = [record(1, 0, 0.1, {"f": 1}), record(2, 0, 0.2, {"f": 2}), record(3, 0, 0.3, {"f": 1})]
    row = compare(records, "f").iloc[0]
    assert row["difference mean"] == pytest.approx(-0.1) and row["unpaired"] == 1


def test_an_unknown_axis_offers_the_nearest_and_lists_the_others():
    with pytest.raises(UsageError, match=r"No run has an argument 'drog'\. Did you mean 'drug'\?.*values: drug\."):
        compare(sleep(), "drog")
    with pytest.raises(UsageError, match=r"'architecture' has the same value in all runs.*: drug"):
        compare(sleep(), "architecture")


@pytest.mark.parametrize("names, chosen", [
    (["train/correlation", "test/loss", "test/correlation"], "test/correlation"),
    (["validation/correlation", "validation/loss", "test/fev"], "test/fev"),
    (["validation/correlation", "validation/loss", "train/correlation"], "validation/correlation"),
    (["validation/loss", "seconds"], "validation/loss"),
    (["seconds"], "seconds"),
])  # fmt: skip
def test_the_metric_is_the_first_of_the_documented_preference(names, chosen):
    records = [record(i, 0, params={"f": i}, metrics=dict.fromkeys(names, 1.0)) for i in (1, 2)]
    assert compare(records, "f")["metric"].tolist() == [chosen]


def test_a_metric_that_is_not_clear_or_unknown_lists_the_known_ones():
    records = [record(i, 0, params={"f": i}, metrics={"speed": 1.0, "cost": 2.0}) for i in (1, 2)]
    with pytest.raises(UsageError, match=r"not clear; name one\. Metrics: speed, cost"):
        compare(records, "f")
    with pytest.raises(UsageError, match=r"No task has a metric 'sped'\. Did you mean 'speed'\?"):
        compare(records, "f", "sped")
    assert compare(records, "f", "cost")["metric"].tolist() == ["cost"]


@pytest.mark.parametrize("key", sorted(record(1)))
@pytest.mark.parametrize("damage", [None, "text", 3, [1], {"a": None}, {"b": [{}]}])
def test_a_damaged_record_does_not_keep_the_others_from_being_compared(key, damage):
    records = [*sleep(), {**record(3, 0, 0.5, {"drug": 1}), key: damage}, "no record", {}]
    frame = compare(records, "drug")
    assert 10 in frame["pairs"].tolist()
    assert by_run(records)["test/correlation mean"].iloc[0] == pytest.approx(0.75)


def test_architectures_pair_by_the_arguments_that_both_were_given():
    rows = [
        record(run, repetition, score, {"architecture": name, **params}, architecture=name, defaults=defaults)
        for run, (name, params, defaults, score) in enumerate([
            ("hsm", {"filters": 4, "hidden": 0.4}, {"l2": 0.0}, 0.5),
            ("hsm", {"filters": 9, "hidden": 0.4}, {"l2": 0.0}, 0.6),
            ("cnn", {"filters": 4}, {"size": 9, "l2": 0.1}, 0.7),
        ])
        for repetition in (0, 1)
    ]  # fmt: skip
    (pair,) = compare(rows, "architecture").to_dict("records")
    assert (pair["a"], pair["b"], pair["pairs"], pair["unpaired"]) == ("hsm", "cnn", 2, 2)
    assert pair["difference mean"] == pytest.approx(0.2)
