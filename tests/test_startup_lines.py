"""Lines that TensorFlow writes when it starts are left out; nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from neurofit.startup_lines import is_startup, without_loading, without_startup

STARTUP = """\
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1795957478.358441    6886 cudart_stub.cc:31] Could not find cuda drivers on your machine
I0000 00:00:1795957479.516833    6886 cpu_feature_guard.cc:227] This TensorFlow binary is optimized.
To enable the following instructions: AVX2 FMA, in other operations, rebuild TensorFlow.
E0000 00:00:1795957487.693429    6886 cuda_platform.cc:52] failed call to cuInit: UNKNOWN ERROR (303)
I0000 00:00:1795957487.738485    6886 service.cc:161]   StreamExecutor [0]: Host, Default Version (Driver: 0.0.0)
E0000 00:00:1728000000.123456  123456 cuda_dnn.cc:8310] Unable to register cuDNN factory
W0000 00:00:1728000000.123456  123456 computation_placer.cc:177] computation placer already registered
2024-06-01 12:00:00.123456: I tensorflow/core/util/port.cc:153] oneDNN custom operations are on.
2024-06-01 12:00:00.123456: E external/xla/cuda/cuda_fft.cc:477] Unable to register cuFFT factory
2024-06-01 12:00:00.123456: W tensorflow/tf2tensorrt/utils/py_utils.cc:38] TF-TRT Warning: Could not find TensorRT
2024-06-01 12:00:00.123456: W tensorflow/core/gpu/gpu_device.cc:2343] Cannot dlopen some GPU libraries
Skipping registering GPU devices...
E0000 00:00:1796011401.968435   27900 text.cc:378] Error parsing text-format tensorflow.XlaSerializedCacheEntry: 2
E0000 00:00:1796011456.010048  28 load.cc:220] Loading XLA:CPU AOT result. Target machine feature +prefer-no-gather is
""".splitlines()
OTHERS = """\
Traceback (most recent call last):
ValueError: no
Epoch 1/5
I0101 12:00:00.123456 140000 train.py:12] step 10
I0000 things to do
W0000 00:00:1728000000.123456  123456 bfc_allocator.cc:500] Allocator (GPU_0_bfc) ran out of memory
E0000 00:00:1728000000.123456  123456 cuda_executor.cc:1] failed to launch kernel: CUDA_ERROR_OUT_OF_MEMORY
F0000 00:00:1728000000.123456  123456 check.cc:1] Check failed: x
E0000 00:00:1796011456.010048   28501 loader.cc:220] Loading XLA:CPU AOT result. Target machine feature +avx512f is
2024-06-01 12:00:00.123456: W tensorflow/core/framework/op_kernel.cc:1839] OP_REQUIRES failed
2024-06-01 12:00:00.123456: I am writing this
INFO: oneDNN is fast
WARNING: All log messages are mine
To enable the following instructions: read them
 I0000 00:00:1795957478.358441    6886 cudart_stub.cc:31] indented by the user
""".splitlines()


@pytest.mark.parametrize("line", STARTUP)
def test_a_line_of_the_start_is_known(line):
    assert is_startup(line)
    assert is_startup(line.encode())


@pytest.mark.parametrize("line", OTHERS)
def test_other_lines_stay(line):
    assert not is_startup(line)


@given(st.binary())
def test_what_is_no_line_of_the_start_stays_byte_for_byte(data):
    assert without_startup(data) == (data, 0)


def test_lines_around_those_of_the_start_stay_as_they_are():
    data = f"one\r\n{STARTUP[1]}\ntwo\r{STARTUP[4]}\nthree".encode()
    assert without_startup(data) == (b"one\r\ntwo\rthree", 2)


def test_lines_about_loaded_programs_are_left_out_of_what_a_terminal_shows():
    loading = [line for line in STARTUP if "XLA" in line or "Xla" in line]
    assert len(loading) == 2
    data = "\n".join(["one", *loading, *OTHERS, STARTUP[1]]).encode()
    assert without_loading(data) == "\n".join(["one", *OTHERS, STARTUP[1]]).encode()
