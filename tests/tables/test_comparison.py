from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from neurofit.errors import UsageError
from neurofit.tables.comparison import by_run, compare, lower_by_name
from neurofit.tables.formats import render
from neurofit.tables.intervals import spread
from neurofit.tables.pairs import full_block

# Student's sleep data: extra hours of ten patients under two drugs. R 4.3, t.test(extra ~ group, sleep,
# paired=TRUE): mean difference 1.58 (second minus first), 95 % interval 0.7001142 to 2.4598858.
DRUG_1 = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
DRUG_2 = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]


def record(run, repetition=0, score=0.5, params=None, **other) -> dict:
    return {
        "run": run,
        "id": f"{run:016x}",
        "architecture": "hsm",
        "params": params or {},
        "derived": {},
        "defaults": {},
        "repetition": repetition,
        "state": "done",
        "seeds": {"init": 10 + repetition, "split": 7},
        "metrics": {"test/correlation": score},
        "facts": {"data_hash": "d0", "neurons_scored": 50},
        "code": "c0",
        "versions": {"keras": "3.5.0"},
        **other,
    }


def sleep() -> list[dict]:
    first = [record(1, i, score, {"drug": 1}) for i, score in enumerate(DRUG_1)]
    return first + [record(2, i, score, {"drug": 2}) for i, score in enumerate(DRUG_2)]


def test_the_interval_of_five_numbers_is_that_of_the_t_table():
    # 1 2 3 4 5: mean 3, s = sqrt(2.5); t(0.975, 4) = 2.776 (NIST e-Handbook 1.3.6.7.2); 2.776 * s / sqrt(5) =
    # 1.963.
    row = by_run([record(1, i, score) for i, score in enumerate([1, 2, 3, 4, 5])]).iloc[0]
    assert row["test/correlation mean"] == 3 and row["test/correlation median"] == 3
    assert row["test/correlation low"] == pytest.approx(3 - 1.963, abs=1e-3)
    assert row["test/correlation high"] == pytest.approx(3 + 1.963, abs=1e-3)
    assert row["test/correlation p10"] == pytest.approx(1.4) and row["test/correlation p90"] == pytest.approx(
        4.6
    )


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


def test_what_varied_between_repetitions_is_reported():
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
        record(1, 0, 0.1, {"a": 1, "b": 1}),
        record(1, 1, 0.2, {"a": 1, "b": 1}),
        record(2, 0, 0.4, {"a": 2, "b": 1}),  # repetition 1 is missing
        record(3, 0, 0.9, {"a": 2, "b": 2}),  # no run with a=1, b=2
    ]
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
    records = [
        record(1, 0, 0.5, {"k": [1, 2]}),
        record(2, 0, 0.7, {"k": [3]}),
        record(3, 1, 0.9, {"k": [1.0, 2.0]}),
    ]
    frame = compare(records, "k")
    assert len(frame) == 1 and frame["a"].iloc[0] == [1, 2]
    assert len(compare([record(1, 0, params={"k": 1}), record(2, 0, params={"k": True})], "k")) == 1


def test_pairs_of_tasks_with_other_code_or_data_are_reported():
    records = sleep()
    records[3]["code"] = records[4]["code"] = "c1"
    assert compare(records, "drug")["mixed"].tolist() == [
        "2 codes in 2 of 10 pairs; 2 codes between repetitions in 1 run"
    ]


def test_of_two_runs_with_equal_arguments_the_later_one_counts():
    records = [record(1, 0, 0.1, {"f": 1}), record(2, 0, 0.2, {"f": 2}), record(3, 0, 0.3, {"f": 1})]
    row = compare(records, "f").iloc[0]
    assert row["difference mean"] == pytest.approx(-0.1) and row["unpaired"] == 1


def test_an_unknown_axis_offers_the_nearest_and_lists_the_others():
    with pytest.raises(
        UsageError, match=r"No run has an argument 'drog'\. Did you mean 'drug'\?.*values: drug\."
    ):
        compare(sleep(), "drog")
    with pytest.raises(UsageError, match=r"'architecture' has the same value in all runs.*: drug"):
        compare(sleep(), "architecture")


@pytest.mark.parametrize(
    "names, chosen",
    [
        (["train/correlation", "test/loss", "test/correlation"], "test/correlation"),
        (["validation/correlation", "validation/loss", "test/fev"], "test/fev"),
        (["validation/correlation", "validation/loss", "train/correlation"], "validation/correlation"),
        (["validation/loss", "seconds"], "validation/loss"),
        (["seconds"], "seconds"),
    ],
)
def test_the_metric_is_the_first_of_the_documented_preference(names, chosen):
    records = [record(i, 0, params={"f": i}, metrics=dict.fromkeys(names, 1.0)) for i in (1, 2)]
    assert compare(records, "f")["metric"].tolist() == [chosen]


def test_a_metric_that_is_not_clear_or_unknown_lists_the_known_ones():
    records = [record(i, 0, params={"f": i}, metrics={"speed": 1.0, "cost": 2.0}) for i in (1, 2)]
    with pytest.raises(
        UsageError, match=r"several metrics to compare: choose one with --metric\. Metrics: speed, cost"
    ):
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
        for run, (name, params, defaults, score) in enumerate(
            [
                ("hsm", {"filters": 4, "hidden": 0.4}, {"l2": 0.0}, 0.5),
                ("hsm", {"filters": 9, "hidden": 0.4}, {"l2": 0.0}, 0.6),
                ("cnn", {"filters": 4}, {"size": 9, "l2": 0.1}, 0.7),
            ]
        )
        for repetition in (0, 1)
    ]
    (pair,) = compare(rows, "architecture").to_dict("records")
    assert (pair["a"], pair["b"], pair["pairs"], pair["unpaired"]) == ("hsm", "cnn", 2, 2)
    assert pair["difference mean"] == pytest.approx(0.2)


# what is a unit of replication


def two_architectures(effects, repetitions=3, missing=()):
    return [
        record(10 * a + i, r, effects[a][i] + r, {"fg"[a]: i}, architecture="ab"[a])
        for a in range(2)
        for i in range(len(effects[a]))
        for r in range(repetitions)
        if (a, i, r) not in missing
    ]


def test_the_unit_is_the_repetition_not_the_pair_of_runs():
    row = compare(two_architectures([[0.1, 0.3, 0.5], [0.4, 0.8]]), "architecture").iloc[0]
    assert (row["repetitions"], row["pairs"], row["unpaired"]) == (3, 3, 0)
    assert row["difference mean"] == pytest.approx(0.3)
    assert row["difference low"] == pytest.approx(0.3) == row["difference high"]  # equal in every repetition


def test_runs_of_other_arguments_are_averaged_within_a_repetition():
    scores = {(1, 0): 0.0, (1, 1): 2.0, (2, 0): 10.0, (2, 1): 20.0}  # (y, repetition) of x=2; 0 of x=1
    records = [record(y, r, 0.0, {"x": 1, "y": y}) for y, r in scores]
    records += [record(10 + y, r, score, {"x": 2, "y": y}) for (y, r), score in scores.items()]
    row = compare(records, "x").iloc[0]
    assert (row["repetitions"], row["pairs"]) == (2, 4)
    # differences of the repetitions: 5 and 11; t(0.975, 1) = 12.706, s / sqrt(2) = 3
    assert row["difference mean"] == 8 and row["difference high"] == pytest.approx(8 + 3 * 12.7062, abs=1e-3)


def test_all_repetitions_average_the_same_runs():
    # without the run that repetition 1 lacks, the other runs differ by 0.5 in every repetition
    records = two_architectures([[0.0], [0.5, 9.0]], repetitions=2, missing={(1, 1, 1)})
    row = compare(records, "architecture").iloc[0]
    assert (row["repetitions"], row["difference mean"], row["unpaired"]) == (2, pytest.approx(0.5), 1)
    equally = two_architectures(
        [[0.0], [0.5, 9.0]], missing={(1, 1, 2)}
    )  # repetitions are worth more than runs
    row = compare(equally, "architecture").iloc[0]
    assert (row["repetitions"], row["difference mean"], row["unpaired"]) == (3, pytest.approx(0.5), 2)
    many = two_architectures([[0.0], [0.5, 0.7, 0.9]], repetitions=4, missing={(1, i, 3) for i in range(3)})
    row = compare(many, "architecture").iloc[0]  # a repetition that lacks most is left out itself
    assert (row["repetitions"], row["difference mean"], row["unpaired"]) == (3, pytest.approx(0.7), 1)


@given(st.lists(st.lists(st.booleans(), min_size=4, max_size=4), max_size=6))
def test_a_full_block_lacks_nothing(rows):
    there = np.array(rows, dtype=bool).reshape(-1, 4)
    kept_rows, kept_columns = full_block(there)
    assert there[np.ix_(kept_rows, kept_columns)].all()
    assert (len(kept_rows) > 0 < len(kept_columns)) == there.any()


def resampled(run, repetition, score, params=None, **other):
    seeds = {"init": repetition, "split": repetition}
    facts = {"images": {"train": 80, "validation": 10, "test": 20}}
    return record(
        run, repetition, score, params, split_by="repetition", seeds=seeds, **{"facts": facts, **other}
    )


def test_resampled_splits_have_the_corrected_variance():
    # 1 … 5: s² = 2.5; Nadeau and Bengio: s² (1/5 + 20/80) = 1.125; t(0.975, 4) = 2.776
    row = by_run([resampled(1, i, i + 1.0) for i in range(5)]).iloc[0]
    assert row["test/correlation high"] == pytest.approx(3 + 2.7764 * math.sqrt(1.125), abs=1e-3)
    assert row["interval"] == "95 % corrected t, resampled splits" and "split" in row["varied"]
    pairs = [resampled(x, i, x * (i + 1.0), {"x": x}) for x in (1, 2) for i in range(5)]
    row = compare(pairs, "x").iloc[0]
    assert row["difference low"] == pytest.approx(3 - 2.7764 * math.sqrt(1.125), abs=1e-3)
    assert row["interval"] == "95 % corrected t, resampled splits"


def test_resampled_splits_of_unknown_sizes_have_no_interval():
    row = by_run([resampled(1, i, i + 1.0, facts={}) for i in range(5)]).iloc[0]
    assert row["interval"] == "none: numbers of images not recorded" and math.isnan(
        row["test/correlation low"]
    )


def test_a_score_of_the_training_set_has_no_interval_over_resampled_splits():
    both = [resampled(1, i, None, metrics={"train/loss": i, "validation/loss": i}) for i in range(5)]
    row = by_run(both).iloc[0]
    assert math.isnan(row["train/loss low"]) and row["validation/loss low"] < 2 < row["validation/loss high"]


def test_folds_have_a_spread_and_no_interval():
    row = by_run([record(1, i, score, split_by="fold") for i, score in enumerate([0.4, 0.1, 0.9])]).iloc[0]
    assert (row["test/correlation low"], row["test/correlation high"]) == (0.1, 0.9)
    assert row["interval"] == "spread over folds: lowest to highest"


def test_one_shared_split_is_reported():
    assert by_run(sleep())["interval"].tolist() == ["95 % t, given one split"] * 2
    assert compare(sleep(), "drug")["interval"].tolist() == ["95 % t, given one split"]


# directions, the grid, and why nothing pairs


@pytest.mark.parametrize(
    "metric, lower",
    [
        ("test/mse", True),
        ("validation/loss", True),
        ("test/poisson_loss", True),
        ("rmse", True),
        ("nll", True),
        ("test/negative_log_likelihood", True),
        ("test/correlation", False),
        ("test/poisson_log_likelihood", False),
        ("test/fraction_of_variance_explained", False),
        ("r2", False),
        ("m", None),
        ("test/sparseness", None),
    ],
)
def test_a_metric_has_a_direction_by_its_name(metric, lower):
    assert lower_by_name(metric) is lower


def test_wins_are_of_the_better_value():
    both = [(x, r) for x in (1, 2) for r in range(3)]
    records = [record(x, r, params={"x": x}, metrics={"test/mse": x + r / 10, "m": x}) for x, r in both]
    row = compare(records, "x", "test/mse").iloc[0]
    assert (row["wins"], row["better"], row["difference mean"]) == (0, "lower", 1)
    row = compare(records, "x", "m").iloc[0]
    assert (row["wins"], row["better"]) == (3, "higher (assumed)")
    row = compare(records, "x", "m", lower_is_better=True).iloc[0]
    assert (row["wins"], row["better"]) == (0, "lower")


def test_tasks_off_the_grid_enter_only_when_asked():
    records = [*sleep(), record(3, 0, 5.0, {"drug": 9}, on_grid=False)]
    assert len(compare(records, "drug")) == 1
    assert len(compare(records, "drug", off_grid=True)) == 3


@pytest.mark.parametrize(
    "first, second, why",
    [
        ({"x": 1, "y": 1}, {"x": 2, "y": 2}, "their runs differ in y too"),
        ({"x": 1, "y": 1, "z": 1}, {"x": 2, "y": 2, "z": 2}, "their runs differ in y, z too"),
    ],
)
def test_values_that_do_not_pair_say_why(first, second, why):
    row = compare([record(1, 0, 0.1, first), record(2, 0, 0.2, second)], "x").iloc[0]
    assert (row["repetitions"], row["pairs"], row["why"], row["unpaired"]) == (0, 0, why, 2)


def test_values_without_a_common_repetition_or_a_done_task_say_so():
    row = compare([record(1, 0, 0.1, {"x": 1}), record(2, 1, 0.2, {"x": 2})], "x").iloc[0]
    assert row["why"] == "no repetition is done in all of their runs"
    row = compare([record(1, 0, 0.1, {"x": 1}), record(2, 0, 0.2, {"x": 2}, state="failed")], "x").iloc[0]
    assert row["why"] == "no task with x=2 is done"
    assert compare(sleep(), "drug")["why"].tolist() == [None]


# rows say what they are


def test_repetitions_with_another_default_have_a_row_of_their_own():
    old = [record(1, r, 0.2, {"a": 1}, defaults={"b": 2}, ended=f"2026-01-0{r + 1}") for r in range(3)]
    new = [record(1, 3, 0.5, {"a": 1}, defaults={"b": 5}, ended="2026-02-01")]
    waiting = [record(1, 4, state="new", params={"a": 1}, metrics={}, facts={})]
    frame = by_run(old + new + waiting)
    assert frame[["run", "b", "repetitions", "missing"]].values.tolist() == [[1, 2, 3, 0], [1, 5, 1, 1]]
    assert frame["test/correlation mean"].tolist() == pytest.approx([0.2, 0.5])


def test_values_of_a_default_that_changed_are_compared_as_what_they_were():
    old = [record(1, r, 0.2, {"a": 1}, defaults={"b": 2}) for r in range(3)]
    row = compare([*old, record(1, 3, 0.5, {"a": 1}, defaults={"b": 5})], "b").iloc[0]
    assert (row["a"], row["b"], row["pairs"]) == (2, 5, 0)


@pytest.mark.parametrize("done, difference, unpaired", [(3, -0.1, 3), (2, 0.1, 2)])
def test_of_two_equal_runs_one_counts_whole_and_the_later_once_as_much_of_it_is_done(
    done, difference, unpaired
):
    old = [record(1, r, 0.1, {"f": 1}) for r in range(3)]
    new = [record(3, r, 0.3, {"f": 1}) for r in range(done)]
    row = compare([*old, *[record(2, r, 0.2, {"f": 2}) for r in range(3)], *new], "f").iloc[0]
    assert (row["repetitions"], row["unpaired"]) == (3, unpaired)
    assert row["difference low"] == pytest.approx(difference) == row["difference high"]


def test_repetitions_of_an_architecture_with_other_defaults_are_not_averaged():
    def tasks(run, name, scores, defaults):
        return [record(run, r, s, architecture=name, defaults=defaults(r)) for r, s in enumerate(scores)]

    changed = tasks(1, "hsm", [0.2, 0.2, 0.2, 0.9], lambda r: {"b": 5 if r == 3 else 2})
    row = compare([*changed, *tasks(2, "cnn", [0.3] * 4, lambda r: {"size": 9})], "architecture").iloc[0]
    assert (row["repetitions"], row["unpaired"]) == (3, 2)
    assert row["difference mean"] == pytest.approx(0.1)


def test_repetitions_done_with_other_code_are_reported_although_each_pair_is_equal():
    records = [record(x, r, x, {"x": x}, code=f"c{r == 2}") for x in (1, 2) for r in range(3)]
    assert compare(records, "x")["mixed"].tolist() == ["2 codes between repetitions in 2 runs"]


def test_an_axis_that_only_tasks_off_the_grid_vary_names_the_option():
    records = [record(1, 0, params={"x": 1}), record(2, 0, params={"x": 2}, on_grid=False)]
    with pytest.raises(UsageError, match="1 task off the grid is left out; --off-grid includes them"):
        compare(records, "x")


def test_what_an_interval_is_of_and_which_number_is_better_stand_below_a_narrow_table():
    text = render(compare(sleep(), "drug"), width=80)
    assert "interval 95 % t, given one split" in text and "better higher" in text
    assert "given one split" in render(by_run(sleep()[:10]), width=80)
