"""The switch between PyTorch's own code and the kernels."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, get_args

import pytest
import torch
from torch.nn import functional as F

from spacy_luke.encoders import kernels
from spacy_luke.encoders.attention import Attention
from spacy_luke.encoders.kernels import attention, dropout, onednn_linear
from spacy_luke.encoders.kernels import routes as switch
from spacy_luke.encoders.kernels.routes import AMD, INTEL, MEASURED, Route
from spacy_luke.encoders.layers import set_dropout
from spacy_luke.errors import LukeError
from tests.encoders.kernels.needs import has_onednn, needs_onednn
from tests.encoders.test_luke import BATCHES, pair
from tests.util import make_input

ROUTES: tuple[Route, ...] = get_args(Route)
LONG = {"max_position_embeddings": 412}


@pytest.fixture
def default() -> Iterator[None]:
    """Restore the mode of the process."""
    before = switch._default
    yield
    switch.set_default(before)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The kernels that compute: of attention their names, "product" for one of oneDNN, "bits" for dropout."""
    found: set[str] = set()

    def watch(module: Any, name: str, called: str) -> None:
        function = getattr(module, name)

        def watched(*args: Any) -> Any:
            found.add(called)
            return function(*args)

        monkeypatch.setattr(module, name, watched)

    watch(onednn_linear, "multiply", "product")
    watch(dropout, "_at_least", "bits")
    for name in ("attend_into_one_buffer", "attend_entity_aware_by_head", "attend_in_one_product"):
        watch(attention, name, name)
    for name in ("_attend_by_head", "_attend_dropping_by_bits"):
        watch(attention, name, name)
    return found


def on(vendor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(switch, "_vendor", lambda: vendor)


def test_the_table_names_every_route() -> None:
    assert set(MEASURED) == set(ROUTES)


@pytest.mark.parametrize("route", ROUTES)
def test_a_kernel_is_taken_where_it_was_measured(route: Route, monkeypatch: pytest.MonkeyPatch) -> None:
    with kernels.use("auto"):
        for vendor in (AMD, INTEL):
            on(vendor, monkeypatch)
            assert switch.takes(route) == (vendor in MEASURED[route])
        on("", monkeypatch)
        assert not switch.takes(route)
        with kernels.use("all"):
            assert switch.takes(route)
    on(AMD, monkeypatch)
    with kernels.use("plain"):
        assert not switch.takes(route)


@pytest.mark.parametrize(
    ("described", "capability", "vendor"),
    [
        ("vendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC", "AVX512", AMD),
        ("vendor_id\t: GenuineIntel", "AVX2", INTEL),
        ("CPU implementer\t: 0x41", "DEFAULT", ""),
        ("vendor_id\t: AuthenticAMD", "DEFAULT", ""),
        ("vendor_id\t: HygonGenuine", "AVX2", ""),
    ],
)
def test_the_vendor_is_read_from_what_the_system_tells(
    described: str, capability: str, vendor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(switch.Path, "read_text", lambda *_, **__: described)
    assert switch._vendor.__wrapped__() == vendor

    def missing(*_: object, **__: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(switch.Path, "read_text", missing)
    monkeypatch.setattr(switch.platform, "processor", lambda: described)
    assert switch._vendor.__wrapped__() == vendor


@needs_onednn
def test_plain_takes_no_kernel_and_all_takes_them(tmp_path, taken: set[str]) -> None:
    _, encoder = pair(tmp_path, **LONG)
    spans = [[(start, start + 3) for start in range(30)]]
    batches = [make_input([20], [[(1, 3)]]), make_input([410], spans), make_input([410], None)]

    def compute() -> None:
        for batch in batches:
            with torch.no_grad():
                encoder.eval()(batch)
            set_dropout(encoder, 0.5)
            encoder.train()(batch).pieces.sum().backward()
            set_dropout(encoder, 0.0)

    with kernels.use("plain"):
        compute()
    assert not taken
    with kernels.use("all"):
        compute()
    assert taken == {
        "product",
        "bits",
        "attend_into_one_buffer",
        "attend_entity_aware_by_head",
        "_attend_by_head",
        "_attend_dropping_by_bits",
    }


@needs_onednn
@pytest.mark.parametrize("vendor", [AMD, INTEL, ""])
def test_by_default_attention_takes_the_kernels_that_were_measured_on_the_processor(vendor: str, monkeypatch) -> None:
    monkeypatch.setattr(switch, "_vendor", lambda: vendor)
    large, small = torch.zeros(1, 2, 400, 8), torch.zeros(1, 2, 4, 8)
    with switch.use("auto"), torch.no_grad():
        kernel = attention.self_attention_kernel(large, large, 0.0)
        assert (kernel is not None) == (vendor in MEASURED["self-attention by head"] and has_onednn)
        assert attention.self_attention_kernel(small, small, 0.0) is None
        wanted = vendor in MEASURED["entity-aware attention into one buffer"]
        assert (attention.entity_aware_kernel(small, small, 0.0) is not None) == wanted
        assert (attention.entity_aware_kernel(large, large, 0.0) is not None) == wanted


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("vendor", [AMD, INTEL, ""])
def test_attention_drops_by_bits_in_the_types_that_were_measured_on_the_processor(vendor, dtype, monkeypatch) -> None:
    on(vendor, monkeypatch)
    route = {torch.float32: "dropout by bits", torch.bfloat16: "dropout by bits in bfloat16"}.get(dtype)
    measured = route is not None and vendor in MEASURED[route]
    queries = torch.zeros(1, 2, 4, 8, dtype=dtype)
    with switch.use("auto"):
        assert (attention.self_attention_kernel(queries, queries, 0.1) is not None) == measured
    with switch.use("all"):
        assert (attention.self_attention_kernel(queries, queries, 0.1) is not None) == (route is not None)
    with switch.use("plain"):
        assert attention.self_attention_kernel(queries, queries, 0.1) is None


def test_plain_products_are_those_of_pytorch_to_the_bit() -> None:
    rows, weight, bias = torch.randn(50, 64), torch.randn(32, 64), torch.randn(32)
    with kernels.use("plain"):
        assert torch.equal(onednn_linear.linear(rows, weight, bias, F.gelu), F.gelu(F.linear(rows, weight, bias)))


def test_plain_takes_no_kernel_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    class OnAGpu:
        is_cuda = True

    tensor: Any = OnAGpu()
    for mode in ("auto", "all"):
        with kernels.use(mode):
            assert attention.entity_aware_kernel(tensor, tensor, 0.0) is attention.attend_in_one_product
    with kernels.use("plain"):
        assert attention.entity_aware_kernel(tensor, tensor, 0.0) is None


@pytest.mark.parametrize("name", BATCHES)
def test_the_routes_agree_with_the_weights_that_are_recorded(tmp_path, name: str) -> None:
    """`with_weights` is the plain way; forward is the same in bits if the plain way is asked for."""
    _, encoder = pair(tmp_path)
    batch = make_input(*BATCHES[name])
    rows, pieces, mask = encoder._embed(batch)
    part = encoder.layers[0].attention
    assert isinstance(part, Attention)
    with torch.no_grad():
        with kernels.use("plain"):
            expected, plain = part.with_weights(rows, pieces, mask)[0], part(rows, pieces, mask)
        fast = part(rows, pieces, mask)
    assert torch.allclose(plain, expected, atol=1e-5)
    assert torch.allclose(fast, expected, atol=1e-5)


def test_no_route_rounds_double_precision(tmp_path) -> None:
    part = pair(tmp_path)[1].double().layers[0].attention
    rows = torch.randn(2, 9, 32, dtype=torch.float64)
    found = []
    for mode in ("plain", "all"):
        with kernels.use(mode), torch.no_grad():
            found.append(part(rows, 5, None))
    assert torch.allclose(*found, rtol=0, atol=1e-12)


def test_a_block_sets_its_own_thread_alone() -> None:
    def current(_: int) -> str:
        return kernels.current()

    with ThreadPoolExecutor(1) as pool, kernels.use("plain"):
        assert kernels.current() == "plain"
        assert list(pool.map(current, [0])) == [switch._default]
        with kernels.use("auto"):
            assert kernels.current() == "auto"
        assert kernels.current() == "plain"


def test_overlapping_blocks_of_threads_leave_each_other_alone() -> None:
    first, second = kernels.use("plain"), kernels.use("all")
    with ThreadPoolExecutor(1) as pool:
        first.__enter__()
        pool.submit(second.__enter__).result()
        first.__exit__(None, None, None)
        assert kernels.current() == "all", "of this module"
        assert pool.submit(kernels.current).result() == "all"
        pool.submit(second.__exit__, None, None, None).result()


def test_a_block_ends_with_an_exception() -> None:
    before = kernels.current()
    with pytest.raises(KeyError), kernels.use("plain"):
        raise KeyError
    assert kernels.current() == before


def test_the_default_is_that_of_every_thread(default: None) -> None:
    with ThreadPoolExecutor(1) as pool:
        for mode in get_args(switch.Mode):
            kernels.set_default(mode)
            assert pool.submit(kernels.current).result() == mode
            assert kernels.current() == "all", "under `use`"


@pytest.mark.parametrize("change", [kernels.set_default, lambda mode: kernels.use(mode).__enter__()])
def test_an_unknown_mode_raises_l047(change: Any) -> None:
    with pytest.raises(LukeError, match=r"L047.*fast.*auto, plain, all"):
        change("fast")


def test_what_a_backward_pass_computes_again_takes_the_route_of_the_forward_pass(tmp_path, taken: set[str]) -> None:
    """In a thread of its own, as on a GPU, after the block."""
    _, encoder = pair(tmp_path)
    encoder.train()
    encoder.gradient_checkpointing = True
    batch = make_input([20, 9], [[(1, 3)], [(0, 9)]])
    with kernels.use("plain"):
        loss = encoder(batch).pieces.square().sum()
    with kernels.use("all"), ThreadPoolExecutor(1) as pool:
        pool.submit(loss.backward).result()
        loss = None
    assert not taken


@pytest.mark.parametrize(("value", "mode"), [(None, "auto"), ("", "auto"), ("plain", "plain"), ("all", "all")])
def test_the_environment_sets_the_default(value: str | None, mode: str) -> None:
    finished = start(value)
    assert finished.stdout.strip() == mode, finished.stderr


def test_an_unknown_mode_in_the_environment_raises_l047() -> None:
    finished = start("fast")
    assert finished.returncode
    assert "L047" in finished.stderr
    assert "SPACY_LUKE_KERNELS" in finished.stderr


def start(value: str | None) -> subprocess.CompletedProcess[str]:
    environment = {name: text for name, text in os.environ.items() if name != switch.VARIABLE}
    if value is not None:
        environment[switch.VARIABLE] = value
    code = "from spacy_luke.encoders import kernels; print(kernels.current())"
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)
