"""NDN3 (github.com/petrroll/NDN3) on TensorFlow 2: trains when asked, one line of JSON for each answer.

bench_ndn3.py PATH MODEL THREADS, started by `scripts/bench training --ndn3 PATH`. It reads numbers of epochs from its
input, and writes seconds on the clock and of CPU time. The graph is built and run once before the clock starts.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import sys
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import tensorflow

tf = tensorflow.compat.v1
MODELS = {  # the layers and penalties of architectures.hsm and what_where
    "hsm": {
        "layer_sizes": [9, 20],
        "layer_types": ["diff_of_gaussians", "normal", "normal"],
        "act_funcs": ["lin", "softplus", "softplus"],
        "conv_filter_widths": [None] * 3,
    },
    "what_where": {
        "layer_sizes": [16],
        "layer_types": ["conv", "sep"],
        "act_funcs": ["softplus", "softplus"],
        "conv_filter_widths": [9, None],
        "shift_spacing": [3, None],
        "reg_list": {"d2x": [0.1, None], "l1": [None, 0.01]},
    },
}


def main() -> None:
    path, name, threads = sys.argv[1:]
    with np.load(sys.stdin.readline().strip()) as data:
        images, responses = data["images"].reshape(len(data["images"]), -1), data["responses"]
    with contextlib.redirect_stdout(sys.stderr):
        ndn3 = loaded(Path(path), int(threads))
    trained = ndn3.NDN.NDN._train_adam
    took = {}

    def timed(model, **how):
        epochs, how["opt_params"]["epochs_training"] = how["opt_params"]["epochs_training"], 1
        trained(model, **how)
        how["opt_params"]["epochs_training"] = epochs
        wall, cpu = time.perf_counter(), time.process_time()
        result = trained(model, **how)
        took.update(wall=time.perf_counter() - wall, cpu=time.process_time() - cpu)
        return result

    ndn3.NDN.NDN._train_adam = timed
    settings = MODELS[name]
    sizes = [*settings["layer_sizes"], responses.shape[1]]
    network = ndn3.NDNutils.ffnetwork_params(
        **{**settings, "layer_sizes": sizes}, input_dims=[1, 31, 31], verbose=False
    )
    if name == "hsm":
        network["weights_initializers"][0] = "random"  # the only one that this layer takes
    for line in sys.stdin:
        with contextlib.redirect_stdout(sys.stderr):
            model = ndn3.NDN.NDN([network], input_dim_list=[[1, 31, 31]], noise_dist="poisson")
            model.train(
                [images],
                [responses],
                learning_alg="adam",
                opt_params={
                    "batch_size": 16,
                    "epochs_training": int(line),
                    "epochs_summary": None,
                    "epochs_ckpt": None,
                    "early_stop": 0,
                    "early_stop_mode": 0,
                    "display": None,
                    "learning_rate": 1e-3,
                    "poisson_unit_norm": np.ones(responses.shape[1], np.float32),
                },
                silent=True,
            )
        print(json.dumps(took), flush=True)


def loaded(path: Path, threads: int) -> ModuleType:
    """The package at this path, which takes TensorFlow for version 1."""
    tf.disable_v2_behavior()
    tf.disable_resource_variables()
    proto = tf.ConfigProto

    def limited(**how):
        return proto(intra_op_parallelism_threads=threads, inter_op_parallelism_threads=threads, **how)

    tf.ConfigProto = limited
    sys.modules["tensorflow"] = tf
    spec = importlib.util.spec_from_file_location(
        "NDN3", path / "__init__.py", submodule_search_locations=[str(path)]
    )
    assert spec is not None and spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules["NDN3"] = package
    spec.loader.exec_module(package)
    for name in ("NDN", "NDNutils"):
        setattr(package, name, importlib.import_module(f"NDN3.{name}"))
    return package


if __name__ == "__main__":
    main()
