import pytest
import torch
from nnunetv2.training.loss.compound_losses import DC_and_BCE_loss, DC_and_CE_loss
from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from torch.autograd.graph import saved_tensors_hooks
from torch.profiler import ProfilerActivity, profile, record_function
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nnunet_eas.gpu import checkpoint_stages
from nnunet_eas.plans.training_memory import training_step_memory
from nnunet_eas.plans.translation import translate_architecture

# patch, strides, kernels; all axes differ
TOPOLOGIES = {
    "2d, five stages": ((64, 48), [[1, 1]] + [[2, 2]] * 4),
    "2d, two stages": ((40, 28), [[1, 1], [2, 2]]),
    "2d, one axis": ((24, 6), [[1, 1], [2, 1], [2, 1]]),
    "3d, four stages": ((8, 32, 24), [[1, 1, 1], [1, 2, 2], [2, 2, 2], [1, 2, 2]], [[1, 3, 3]] * 2 + [[3] * 3] * 2),
    "3d, two stages": ((8, 12, 10), [[1, 1, 1], [2, 2, 2]]),
}
NETWORKS = ("EASUNet", "EASUNet, the paper's", "PlainConvUNet")
WIDE = (32, 64, 96, 128, 128)  # maps that outweigh what an allocator rounds
EVERY_NETWORK = pytest.mark.parametrize("network", NETWORKS)
EVERY_TOPOLOGY = pytest.mark.parametrize("topology", TOPOLOGIES)


class CPUStep:
    """A training step with real tensors, in single precision, as nnU-Net's trainer does it on the CPU."""

    def __init__(
        self, architecture, *, input_channels, num_outputs, patch_size, batch_size, has_regions=False, recompute=False
    ):
        kwargs = architecture["arch_kwargs"]
        torch.manual_seed(0)
        self.network = get_network_from_plans(
            architecture["network_class_name"],
            kwargs,
            architecture["_kw_requires_import"],
            input_channels,
            num_outputs,
            deep_supervision=kwargs["n_stages"] > 2,
        )
        if recompute:
            checkpoint_stages(self.network)
        self.optimizer = torch.optim.SGD(
            self.network.parameters(), 0.01, momentum=0.99, nesterov=True, weight_decay=3e-5, foreach=True
        )
        self.data = torch.randn(batch_size, input_channels, *patch_size)
        with torch.no_grad():
            shapes = [output.shape for output in self.forward()]
        weights = [1 / 2**i for i in range(len(shapes))]
        if len(weights) > 1:
            weights[-1] = 0
        dice = {"batch_dice": True, "do_bg": has_regions, "smooth": 1e-5, "ddp": False}
        if has_regions:
            self.targets = [torch.rand(shape) > 0.5 for shape in shapes]
            loss = DC_and_BCE_loss({}, dice, dice_class=MemoryEfficientSoftDiceLoss)
        else:
            self.targets = [torch.randint(num_outputs, (n, 1, *edges), dtype=torch.int16) for n, _, *edges in shapes]
            loss = DC_and_CE_loss(dice, {}, dice_class=MemoryEfficientSoftDiceLoss)
        self.loss = DeepSupervisionWrapper(loss, weights)

    def forward(self):
        outputs = self.network(self.data)
        return outputs if isinstance(outputs, list) else [outputs]

    def held(self):
        """Bytes of what the forward pass makes and keeps for the backward pass, of the outputs and of the loss."""
        there = (*self.network.parameters(), *self.network.buffers(), self.data, *self.targets)
        known = {tensor.data_ptr() for tensor in there}
        kept = {}

        def pack(tensor):
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in known:
                kept[storage.data_ptr()] = storage  # the reference keeps the address from being given away again
            return tensor

        with saved_tensors_hooks(pack, lambda tensor: tensor):
            outputs = self.forward()
            loss = self.loss(outputs, self.targets)
        for tensor in (*outputs, loss):
            pack(tensor)
        return sum(storage.nbytes() for storage in kept.values())

    def allocated(self):
        """Bytes that the CPU allocator holds at the end of the forward pass, and at the worst moment of a step."""
        self.step()  # the first one makes the momentum
        self.optimizer.zero_grad(set_to_none=True)
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
            self.step()
        momentum = [state["momentum_buffer"] for state in self.optimizer.state.values()]
        before = [*self.network.parameters(), *self.network.buffers(), *momentum, self.data, *self.targets]
        more = most = 0
        for event in sorted(profiler.profiler.kineto_results.events(), key=lambda event: event.start_ns()):
            if event.name() == "end of forward":
                at_the_end_of_forward = more
            elif event.name() == "[memory]":
                more += event.nbytes()
                most = max(most, more)
        return at_the_end_of_forward, sum(tensor.nbytes for tensor in before) + most

    def step(self):
        outputs = self.forward()
        loss = self.loss(outputs, self.targets)
        with record_function("end of forward"):
            pass
        loss.backward()
        self.optimizer.step()


@pytest.fixture
def architecture(plain_unet):
    """Builds (network, topology, features) as a plan records it."""

    def build(network, topology, **features):
        planned = plain_unet(*TOPOLOGIES[topology], **features)
        if network == "PlainConvUNet":
            return planned["architecture"]
        return translate_architecture(planned, of_the_paper=network != "EASUNet")

    return build


def case(topology, **more):
    return {"input_channels": 2, "num_outputs": 3, "patch_size": TOPOLOGIES[topology][0], "batch_size": 2, **more}


def count(architecture, topology, **more):
    return training_step_memory(architecture, **case(topology, **more))


@pytest.mark.parametrize("has_regions", [False, True], ids=["classes", "regions"])
@EVERY_NETWORK
@EVERY_TOPOLOGY
def test_activations_are_what_a_real_step_holds_to_the_byte(architecture, topology, network, has_regions):
    built = architecture(network, topology)
    counted = count(built, topology, has_regions=has_regions, precision=torch.float32)
    real = CPUStep(built, **case(topology, has_regions=has_regions))
    assert counted.activations == real.held()


@pytest.mark.slow
@EVERY_NETWORK
@EVERY_TOPOLOGY
def test_another_patch_and_batch_of_the_topology_are_counted_to_the_byte_too(architecture, topology, network):
    built = architecture(network, topology)
    other = {"patch_size": [edge * (2 + axis) for axis, edge in enumerate(TOPOLOGIES[topology][0])], "batch_size": 3}
    counted = count(built, topology, precision=torch.float32, **other)
    assert counted.activations == CPUStep(built, **case(topology, **other)).held()


@pytest.mark.slow
@EVERY_NETWORK
@EVERY_TOPOLOGY
def test_half_precision_holds_what_autocast_holds(architecture, topology, network):
    built = architecture(network, topology, features=WIDE)
    counted = count(built, topology, precision=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        real = CPUStep(built, **case(topology)).held()
    # the CPU's autocast resizes volumes in single precision, CUDA's and ours in half
    assert counted.activations == pytest.approx(real, rel=0.01 if topology.startswith("2d") else 0.05)


@pytest.mark.slow
@EVERY_NETWORK
@pytest.mark.parametrize("topology", ["2d, five stages", "2d, two stages", "3d, four stages"])
def test_the_allocator_holds_what_was_counted(architecture, topology, network):
    built = architecture(network, topology, features=WIDE)
    counted = count(built, topology, precision=torch.float32)
    at_the_end_of_forward, peak = CPUStep(built, **case(topology)).allocated()
    assert at_the_end_of_forward == pytest.approx(counted.activations, rel=0.02)
    assert 0.95 < peak / counted.peak < 1.15  # on some CPUs a convolution converts its maps to another layout


@pytest.mark.parametrize("topology", ["2d, five stages", "2d, two stages", "3d, four stages"])
def test_the_allocator_holds_what_was_counted_with_recomputation(architecture, topology):
    built = architecture("EASUNet", topology, features=WIDE)
    counted = count(built, topology, precision=torch.float32, recompute=True)
    at_the_end_of_forward, peak = CPUStep(built, **case(topology, recompute=True)).allocated()
    assert at_the_end_of_forward == pytest.approx(counted.activations, rel=0.02)
    assert 0.9 < peak / counted.peak < 1.15
    everything = count(built, topology, precision=torch.float32)
    assert counted.activations < 0.5 * everything.activations
    assert counted.peak < 0.8 * everything.peak


def test_with_a_small_patch_the_optimiser_makes_the_peak(architecture):
    built = architecture("PlainConvUNet", "2d, one axis", features=WIDE)
    counted = count(built, "2d, one axis", precision=torch.float32)
    assert counted.peak > counted.weights + counted.momentum + 1.9 * counted.gradients
    _, peak = CPUStep(built, **case("2d, one axis")).allocated()
    assert counted.peak == pytest.approx(peak, rel=0.02)


@pytest.mark.slow
@EVERY_NETWORK
@pytest.mark.parametrize("topology", ["2d, five stages", "3d, four stages"])
def test_the_peak_with_many_classes_holds_the_outputs_which_the_trainer_does_not_let_go(
    architecture, topology, network
):
    built = architecture(network, topology, features=WIDE)
    counted = count(built, topology, num_outputs=118, precision=torch.float32)
    _, peak = CPUStep(built, **case(topology, num_outputs=118)).allocated()
    assert peak == pytest.approx(counted.peak, rel=0.05)


@EVERY_NETWORK
@EVERY_TOPOLOGY
def test_activations_grow_linearly_with_the_batch(architecture, topology, network):
    built = architecture(network, topology)
    two, four, six = (count(built, topology, batch_size=n) for n in (2, 4, 6))
    assert six.activations - four.activations == four.activations - two.activations > 0
    assert two.peak < four.peak < six.peak
    assert two.weights == six.weights


@EVERY_NETWORK
@EVERY_TOPOLOGY
def test_the_peak_holds_the_state_and_the_activations_or_the_gradients(architecture, topology, network):
    built = architecture(network, topology)
    for batch_size in (1, 2, 16):
        counted = count(built, topology, batch_size=batch_size)
        state = counted.weights + counted.momentum
        assert counted.peak >= state + max(counted.activations, counted.gradients)


def test_weights_are_counted_as_they_are(architecture):
    built = architecture("EASUNet", "2d, five stages")
    network = CPUStep(built, **case("2d, five stages")).network
    counted = count(built, "2d, five stages")
    parameters = sum(parameter.nbytes for parameter in network.parameters())
    assert counted.momentum == counted.gradients == parameters
    assert counted.weights == parameters + sum(buffer.nbytes for buffer in network.buffers())


@EVERY_NETWORK
def test_half_precision_takes_between_half_and_seven_tenths_of_single(architecture, network):
    built = architecture(network, "2d, five stages", features=WIDE)
    single, half, brain = (
        count(built, "2d, five stages", batch_size=8, precision=precision)
        for precision in (torch.float32, torch.float16, torch.bfloat16)
    )
    assert 0.5 < half.activations / single.activations < 0.7
    assert half.weights == single.weights
    assert half == brain
    assert half == count(built, "2d, five stages", batch_size=8)  # the default


def test_classes_and_channels_take_memory(architecture):
    built = architecture("EASUNet", "3d, four stages")
    few = count(built, "3d, four stages")
    many = count(built, "3d, four stages", num_outputs=118)
    # at full resolution at least the softmax of 115 more classes, in single precision
    assert many.activations > few.activations + 115 * 4 * 2 * 8 * 32 * 24
    assert many.weights > few.weights
    wide = count(built, "3d, four stages", input_channels=4)
    assert wide.activations >= few.activations + 2 * 2 * 2 * 8 * 32 * 24


def test_regions_take_other_memory_than_classes(architecture):
    built = architecture("EASUNet", "2d, five stages")
    classes, regions = (count(built, "2d, five stages", has_regions=regions) for regions in (False, True))
    assert classes.weights == regions.weights
    assert classes.activations != regions.activations


class NoRealTensors(TorchDispatchMode):
    """Fails at the first operation that makes a tensor with data, a few numbers apart."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor) and not tensor.is_meta and tensor.numel() > 100:
                raise AssertionError(f"{func} made {tuple(tensor.shape)} on {tensor.device}")
        return result


@EVERY_NETWORK
def test_no_weights_and_no_maps_are_made(architecture, network):
    built = architecture(network, "2d, two stages", features=(4096, 8192))
    with NoRealTensors():
        counted = count(built, "2d, two stages", patch_size=(8192, 4096), batch_size=50)
    assert counted.weights > 5e8
    assert counted.peak > 1e13


def test_the_guard_above_sees_a_real_network(architecture):
    with pytest.raises(AssertionError, match="on cpu"), NoRealTensors():
        CPUStep(architecture("EASUNet", "2d, two stages"), **case("2d, two stages"))


def test_the_architecture_is_not_changed(architecture):
    built = architecture("EASUNet", "2d, five stages")
    before = repr(built)
    count(built, "2d, five stages")
    assert repr(built) == before
